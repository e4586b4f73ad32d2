import { constants } from "./constants.ts";
import { errno } from "./errno.ts";
import { checked, libc } from "./libc.ts";

/**
 * Opens a file, as `open(2)` with `O_CLOEXEC`.
 *
 * @param path the file.
 * @param flags `constants.O_*`.
 * @returns the descriptor; the caller closes it with {@link closeFd}.
 * @throws {KernelError} as the kernel answers, e.g. `ENOENT`.
 */
export function openFile(path: string, flags: number): number {
  return checked(libc().open(path, flags | constants.O_CLOEXEC, 0o600), "open", `open ${path}`);
}

/**
 * Closes a descriptor. Closing one twice is an error that may hit somebody else's descriptor: don't.
 *
 * @param fd the descriptor.
 * @throws {KernelError} `EBADF` when it is not open.
 */
export function closeFd(fd: number): void {
  checked(libc().close(fd), "close", `close descriptor ${fd}`);
}

/**
 * Reads once, as `read(2)`.
 *
 * @param fd the descriptor.
 * @param buffer takes the bytes, from its beginning on.
 * @returns the number of bytes, 0 at the end, or `undefined` where nothing is there yet on a non-blocking descriptor.
 * @throws {KernelError} for everything but `EAGAIN`; `EINTR` is retried.
 */
export function readFd(fd: number, buffer: Uint8Array): number | undefined {
  return unlessBlocked("read", `read from descriptor ${fd}`, () => libc().read(fd, buffer, buffer.length));
}

/**
 * Writes once, as `write(2)`.
 *
 * @param fd the descriptor.
 * @param data what to write; the kernel may take less of it.
 * @returns the number of bytes, or `undefined` where a non-blocking descriptor takes none now.
 * @throws {KernelError} for everything but `EAGAIN`; `EINTR` is retried.
 */
export function writeFd(fd: number, data: Uint8Array): number | undefined {
  return unlessBlocked("write", `write to descriptor ${fd}`, () => libc().write(fd, data, data.length));
}

/**
 * Calls `ioctl(2)`.
 *
 * @param fd the descriptor.
 * @param request the request's number.
 * @param argument a structure that the kernel reads and writes in place, or a plain value.
 * @param attempt what it is for, in words, for the error's message.
 * @returns the call's result.
 * @throws {KernelError} as the kernel answers.
 */
export function ioctl(
  fd: number,
  request: number,
  argument: Uint8Array | number,
  attempt: string = `call ioctl 0x${request.toString(16)}`,
): number {
  const result =
    typeof argument === "number"
      ? libc().ioctlValue(fd, request, argument)
      : libc().ioctl(fd, request, argument);
  return checked(result, "ioctl", attempt);
}

/**
 * Runs a call until it is not interrupted, and tells "nothing now" from failure.
 *
 * @param syscall the call's name.
 * @param attempt what it is for, in words.
 * @param call returns a negative number on failure.
 * @returns the result, or `undefined` for `EAGAIN`.
 */
export function unlessBlocked(syscall: string, attempt: string, call: () => number): number | undefined {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const error = libc().koffi.errno();
    if (error === errno.EAGAIN) return undefined;
    if (error !== errno.EINTR) checked(result, syscall, attempt);
  }
}
