import { errno, KernelError } from "@loden/linux";

/**
 * Says of a refused write what the kernel's number for it hides: that there is no room.
 *
 * @param error what the write threw.
 * @param attempt what was attempted, in words.
 * @param capacity the map's.
 * @param more what else is to be said.
 * @returns what to throw.
 */
export function refusedWrite(error: unknown, attempt: string, capacity: number, more?: string): unknown {
  if (!(error instanceof KernelError)) return error;
  const full = error.errno === errno.E2BIG ? `expected at most ${capacity} entries` : undefined;
  const detail = [more, full].filter((text) => text !== undefined).join("; ");
  const { syscall, errno: number } = error;
  return detail === "" ? error : new KernelError({ attempt, syscall, errno: number, detail });
}
