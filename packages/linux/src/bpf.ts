import { errno } from "./errno.ts";
import { KernelError } from "./kernel-error.ts";
import { checked, libc } from "./libc.ts";
import { NotSupportedError } from "./not-supported-error.ts";

/** `__NR_bpf`, by Node's names of architectures. */
const CALL_NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

/**
 * Calls `bpf(2)`.
 *
 * @param command `BPF_*`, by number.
 * @param attributes a `union bpf_attr`, or its beginning: the kernel takes the rest as zeros. Some commands write into it.
 * @param attempt what it is for, in words.
 * @returns the call's result, a descriptor (closed on exec) where it makes one.
 * @throws {KernelError} as the kernel answers, e.g. `EPERM` without `CAP_BPF`.
 * @throws {NotSupportedError} where the kernel has no BPF, and on an architecture whose call number is not known.
 */
export function bpf(command: number, attributes: Uint8Array, attempt: string): number {
  const call = CALL_NUMBERS[process.arch];
  if (call === undefined) throw new NotSupportedError(`bpf(2) on ${process.arch}`);
  try {
    return checked(libc().syscall(call, command, attributes, attributes.byteLength), "bpf", attempt);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === errno.ENOSYS)) throw error;
    throw new NotSupportedError("bpf(2)", "3.18", { cause: error });
  }
}
