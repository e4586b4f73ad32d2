import type { KernelError } from "@loden/linux";

/**
 * Throws when requests of a batch failed: the error itself when it is one, else an AggregateError of all.
 *
 * @param errors What {@link RequestSocket.sendMany} returned.
 * @param attempt What the batch was for, in words: "add routes".
 */
export function throwFailures(errors: readonly (KernelError | undefined)[], attempt: string): void {
  const failures = errors.filter((error) => error !== undefined);
  if (failures.length === 0) return;
  if (failures.length === 1) throw failures[0]!;
  throw new AggregateError(
    failures,
    `Cannot ${attempt}: ${failures.length} of ${errors.length} were refused, the first: ${failures[0]!.message}`,
  );
}
