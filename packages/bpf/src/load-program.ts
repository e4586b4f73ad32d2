import { bpf, closeFd, KernelError, lendMemory } from "@loden/linux";
import { attributes, Command } from "./bpf-command.ts";
import { type AttachPoint, TCX } from "./attach-point.ts";

const BPF_PROG_TYPE_SCHED_CLS = 3;
const LOG_BYTES = 1 << 16;
/** Of a program, and of the text around what the verifier says. */
const INSTRUCTION_BYTES = 8;

/** Settings of {@link loadProgram}. */
export interface ProgramOptions {
  /** At most 15 characters, seen in lists of programs. */
  readonly name: string;
  /** Where it will be attached. */
  readonly at: AttachPoint;
  /** As `assemble` gives them. */
  readonly instructions: Uint8Array;
  /** The licence that the kernel is told. Some of its functions are for programs under the GPL alone. */
  readonly license: string;
}

/** A program in the kernel. Closing it leaves it where it is attached. */
export interface BpfProgram extends Disposable {
  readonly fd: number;
  readonly name: string;
  readonly at: AttachPoint;
  close(): void;
}

/**
 * Loads a program: the kernel checks that it ends and touches nothing that it may not.
 *
 * @param options name, place and instructions.
 * @returns the program; the caller closes it.
 * @throws {KernelError} `EACCES` or `EINVAL` with the verifier's last lines when it is refused, `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`.
 */
export function loadProgram(options: ProgramOptions): BpfProgram {
  const { name, at } = options;
  const fd = load(options);
  let open = true;
  const close = (): void => {
    if (open) closeFd(fd);
    open = false;
  };
  return { fd, name, at, close, [Symbol.dispose]: close };
}

function load({ name, at, instructions, license }: ProgramOptions): number {
  const code = new Uint8Array(new SharedArrayBuffer(instructions.length));
  code.set(instructions);
  const licence = new Uint8Array(new SharedArrayBuffer(license.length + 1));
  licence.set(new TextEncoder().encode(license));
  const log = new Uint8Array(new SharedArrayBuffer(LOG_BYTES));
  const attempt = `load the BPF program ${name}`;
  return lendMemory([code, licence, log], (codeAt = 0, licenceAt = 0, logAt = 0) => {
    const members: Parameters<typeof attributes>[1] = [
      [0, 4, BPF_PROG_TYPE_SCHED_CLS],
      [4, 4, instructions.length / INSTRUCTION_BYTES],
      [8, 8, codeAt],
      [16, 8, licenceAt],
      [48, 16, name],
      [68, 4, TCX[at]],
    ];
    try {
      return bpf(Command.programLoad, attributes(72, members), attempt);
    } catch (error) {
      // Once more, for the reason: without a log the verifier is quicker.
      if (!(error instanceof KernelError) || (error.code !== "EACCES" && error.code !== "EINVAL")) throw error;
      try {
        return bpf(
          Command.programLoad,
          attributes(72, [...members, [24, 4, 1], [28, 4, LOG_BYTES], [32, 8, logAt]]),
          attempt,
        );
      } catch {
        const { syscall, errno } = error;
        throw new KernelError({ attempt, syscall, errno, detail: lastLines(log) });
      }
    }
  });
}

function lastLines(log: Uint8Array): string {
  const text = new TextDecoder().decode(log.slice()).replace(/\0.*$/s, "");
  return text.trim().split("\n").filter((line) => !/^processed /.test(line)).slice(-3).join("; ") || "no reason given";
}
