import { bpf, errno, KernelError, NotSupportedError } from "@loden/linux";
import { TCX } from "./attach-point.ts";
import { attributes } from "./attributes.ts";
import { Command } from "./bpf-command.ts";
import type { BpfProgram } from "./load-program.ts";
import { ownDescriptor } from "./own-descriptor.ts";

/** A program at work on a device. The end of the process takes it away, too. */
export interface BpfLink extends Disposable {
  /**
   * Its descriptor; whoever holds it keeps the program there.
   *
   * @throws {TypeError} when it is closed.
   */
  readonly fd: number;
  /** Takes the program away from the device; does nothing when the device is gone, and nothing again. */
  close(): void;
}

/**
 * Attaches a program to a network device (tcx), after those that are there.
 *
 * @param program what is to see the packets, at the place that it was loaded for; it may be closed then.
 * @param ifindex the device's number, in the network namespace that the thread is in.
 * @returns what takes it away again; with the device it goes by itself.
 * @throws {KernelError} `ENODEV` when there is no such device, `EEXIST` when the program is there already, `EPERM` without `CAP_NET_ADMIN`.
 * @throws {NotSupportedError} where the kernel has no tcx, which came with Linux 6.6.
 */
export function attachProgram(program: BpfProgram, ifindex: number): BpfLink {
  const what = `the attachment of the BPF program ${program.name}`;
  const descriptor = ownDescriptor(attach(program, ifindex), what);
  return {
    get fd() {
      return descriptor.fd;
    },
    close: descriptor.close,
    [Symbol.dispose]: descriptor.close,
  };
}

function attach({ fd, name, at }: BpfProgram, ifindex: number): number {
  try {
    return bpf(
      Command.linkCreate,
      attributes(32, [
        [0, 4, fd],
        [4, 4, ifindex],
        [8, 4, TCX[at]],
      ]),
      `attach the BPF program ${name} to the ${at} of device ${ifindex}`,
    );
  } catch (error) {
    // Nothing else in the request can be wrong: an older kernel does not know the place, or the whole command.
    if (!(error instanceof KernelError && error.errno === errno.EINVAL)) throw error;
    throw new NotSupportedError("BPF programs at network devices (tcx)", "6.6", { cause: error });
  }
}
