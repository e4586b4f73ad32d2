import { bpf, closeFd } from "@loden/linux";
import { TCX } from "./attach-point.ts";
import { attributes, Command } from "./bpf-command.ts";
import type { BpfProgram } from "./load-program.ts";

/** A program at work on a device. Closing it takes the program away; so does the end of the process. */
export interface BpfLink extends Disposable {
  readonly fd: number;
  close(): void;
}

/**
 * Attaches a program to a network device (tcx, Linux 6.6 and later), beside those that are there.
 *
 * @param program what is to see the packets, at the place that it was loaded for.
 * @param ifindex the device's number, in the network namespace that the thread is in.
 * @returns what takes it away again; it goes by itself with the device.
 * @throws {KernelError} `ENODEV` when there is no such device, `EINVAL` on kernels without tcx.
 */
export function attachProgram(program: BpfProgram, ifindex: number): BpfLink {
  const fd = bpf(
    Command.linkCreate,
    attributes(32, [
      [0, 4, program.fd],
      [4, 4, ifindex],
      [8, 4, TCX[program.at]],
    ]),
    `attach the BPF program ${program.name} to the ${program.at} of device ${ifindex}`,
  );
  let open = true;
  const close = (): void => {
    if (open) closeFd(fd);
    open = false;
  };
  return { fd, close, [Symbol.dispose]: close };
}
