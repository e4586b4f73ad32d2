import { arch } from "node:process";
import { checked, libc } from "./libc.ts";
import { NotSupportedError } from "./not-supported-error.ts";

/** `__NR_bpf`, by Node's names of architectures. */
const CALL_NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

/**
 * Calls `bpf(2)`.
 *
 * @param command `BPF_*`, by number.
 * @param attributes a `union bpf_attr`, or its beginning: the kernel takes the rest as zeros.
 * @param attempt what it is for, in words.
 * @returns the call's result, a descriptor where it makes one.
 * @throws {KernelError} as the kernel answers, e.g. `EPERM` without `CAP_BPF`.
 * @throws {NotSupportedError} on an architecture whose call number is not known.
 */
export function bpf(command: number, attributes: Uint8Array, attempt: string): number {
  const call = CALL_NUMBERS[arch];
  if (call === undefined) throw new NotSupportedError(`bpf(2) on ${arch}`);
  return checked(libc().syscall(call, command, attributes, attributes.byteLength), "bpf", attempt);
}
