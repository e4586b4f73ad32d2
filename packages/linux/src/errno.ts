import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/**
 * The error numbers of Linux by name, all positive: `errno.EAGAIN` is 11.
 *
 * Source: `include/uapi/asm-generic/errno.h`.
 */
export const errno: Readonly<Record<keyof typeof constants.errno, number>> = constants.errno;

// Names that node:os does not know, and that netlink and TUN answer with.
const others: Record<number, [string, string]> = {
  64: ["ENONET", "machine is not on the network"],
  77: ["EBADFD", "file descriptor in bad state"],
  86: ["ESTRPIPE", "streams pipe error"],
  132: ["ERFKILL", "operation not possible due to RF-kill"],
};

/**
 * Names an error number of Linux.
 *
 * @param number a positive error number, as in `errno`.
 * @returns its name (`EEXIST`) and a short text; a number that is not known gives `E<number>`.
 */
export function describeErrno(number: number): { code: string; text: string } {
  const [code, text] = getSystemErrorMap().get(-number) ??
    others[number] ?? [nameOf(number), "unknown error"];
  return { code, text };
}

function nameOf(number: number): string {
  const known = Object.entries(constants.errno).find(([, value]) => value === number);
  return known?.[0] ?? `E${number}`;
}
