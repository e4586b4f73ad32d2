import { KernelError } from "@loden/linux";

/** What every read and write of a TUN device answers once the device was deleted. node:os does not know this error number. */
export const EBADFD = 77;

/**
 * Tells whether an error says that the device was deleted.
 *
 * @param error what a read or write threw.
 * @returns whether it is `EBADFD`.
 */
export function isGone(error: unknown): boolean {
  return error instanceof KernelError && error.errno === EBADFD;
}

/**
 * Says in words that the device was deleted, where that is what an error means.
 *
 * @param error what a read or write threw.
 * @param name the device.
 * @returns an error that names the device, or the same error.
 */
export function explainGone(error: unknown, name: string): unknown {
  if (!(error instanceof KernelError) || !isGone(error)) return error;
  const { syscall, errno } = error;
  return new KernelError({
    attempt: `${syscall} TUN device ${name}`,
    syscall,
    errno,
    detail: "the device was deleted",
  });
}
