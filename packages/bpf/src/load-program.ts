import { bpf, errno, KernelError, lendMemory } from "@loden/linux";
import { attributes, type Member } from "./attributes.ts";
import { type AttachPoint, TCX } from "./attach-point.ts";
import { Command } from "./bpf-command.ts";
import { checkName } from "./check-name.ts";
import { ownDescriptor } from "./own-descriptor.ts";

const BPF_PROG_TYPE_SCHED_CLS = 3;
const BPF_LOG_LEVEL1 = 1;
const LOG_BYTES = 1 << 16;
const INSTRUCTION_BYTES = 8;
/** The kernel gives up checking when a signal comes for the thread. */
const MOST_INTERRUPTIONS = 10;

/** Settings of {@link loadProgram}. */
export interface ProgramOptions {
  /** 1 to 15 letters, digits, `_` and `.`, seen in lists of programs. */
  readonly name: string;
  /** Where it will be attached. */
  readonly at: AttachPoint;
  /** As `Assembler.assemble` gives them. */
  readonly instructions: Uint8Array;
  /** The licence that the kernel is told. Some of its functions are for programs under the GPL alone. */
  readonly license: string;
}

/** A program in the kernel. */
export interface BpfProgram extends Disposable {
  /**
   * Its descriptor.
   *
   * @throws {TypeError} when it is closed.
   */
  readonly fd: number;
  /** As it was loaded. */
  readonly name: string;
  /** Where it can be attached. */
  readonly at: AttachPoint;
  /** Closes it; where it is attached it stays. Again does nothing. */
  close(): void;
}

/**
 * Loads a program for packets of a network device: the kernel checks that it ends, and touches nothing that it may not.
 *
 * @param options its name, place and instructions.
 * @returns the program; the caller closes it.
 * @throws {KernelError} mostly `EACCES` or `EINVAL` when it is refused: `detail` is the end of what the kernel's check says. `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`.
 * @throws {NotSupportedError} where the kernel has no BPF.
 * @throws {RangeError} for a name that the kernel doesn't take, and for a part of an instruction.
 */
export function loadProgram(options: ProgramOptions): BpfProgram {
  const { name, at, instructions } = options;
  checkName("BPF program", name);
  if (instructions.length === 0 || instructions.length % INSTRUCTION_BYTES !== 0) {
    throw new RangeError(
      `Cannot load the BPF program ${name}: it has ${instructions.length} bytes, expected a multiple of ${INSTRUCTION_BYTES}`,
    );
  }
  const descriptor = ownDescriptor(load(options), `the BPF program ${name}`);
  return {
    get fd() {
      return descriptor.fd;
    },
    name,
    at,
    close: descriptor.close,
    [Symbol.dispose]: descriptor.close,
  };
}

function load({ name, at, instructions, license }: ProgramOptions): number {
  const code = outside(instructions);
  const licence = outside(new TextEncoder().encode(`${license}\0`));
  const log = outside(new Uint8Array(LOG_BYTES));
  const attempt = `load the BPF program ${name}`;
  return lendMemory([code, licence, log], (codeAt, licenceAt, logAt) => {
    const members: readonly Member[] = [
      [0, 4, BPF_PROG_TYPE_SCHED_CLS],
      [4, 4, instructions.length / INSTRUCTION_BYTES],
      [8, 8, codeAt],
      [16, 8, licenceAt],
      [48, 16, name],
      [68, 4, TCX[at]],
    ];
    try {
      return loadPatiently(members, attempt);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      // Once more, for the reason: without a log the kernel is quicker.
      const logging: readonly Member[] = [
        [24, 4, BPF_LOG_LEVEL1],
        [28, 4, LOG_BYTES],
        [32, 8, logAt],
      ];
      try {
        return loadPatiently([...members, ...logging], attempt);
      } catch {
        const { syscall, errno: number } = error;
        throw new KernelError({ attempt, syscall, errno: number, detail: lastLines(log) });
      }
    }
  });
}

function loadPatiently(members: readonly Member[], attempt: string): number {
  for (let interruptions = 0; ; interruptions++) {
    try {
      return bpf(Command.programLoad, attributes(72, members), attempt);
    } catch (error) {
      const wasInterrupted = error instanceof KernelError && error.errno === errno.EAGAIN;
      if (!wasInterrupted || interruptions === MOST_INTERRUPTIONS) throw error;
    }
  }
}

/** A copy outside the JavaScript heap: the kernel takes its address. */
function outside(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

/** The end of what the verifier says, without its statistics. */
function lastLines(log: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(log.slice()).replace(/\0.*$/s, "");
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !/^processed \d/.test(line));
  return lines.length === 0 ? undefined : lines.slice(-3).join("; ");
}
