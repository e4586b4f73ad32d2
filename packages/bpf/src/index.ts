/**
 * eBPF from TypeScript, without a compiler: programs are written with an assembler, loaded, and attached to network devices; maps share tables with them.
 *
 * @example Drop what comes in through a device
 * ```ts
 * import { attachProgram, createAssembler, loadProgram, Verdict } from "@loden/bpf";
 *
 * const instructions = createAssembler().alu("mov", 0, Verdict.drop).exit().assemble();
 * using program = loadProgram({ name: "deaf", at: "ingress", instructions, license: "Apache-2.0" });
 * using link = attachProgram(program, ifindex);
 * ```
 *
 * @module
 */
export type { AttachPoint } from "./attach-point.ts";
export { attachProgram, type BpfLink } from "./attach-program.ts";
export {
  type AccessSize,
  type Assembler,
  createAssembler,
  type Label,
  type Operand,
  type Register,
} from "./create-assembler.ts";
export { type BpfMap, createMap, type MapKind, type MapOptions } from "./create-map.ts";
export { KernelFunction } from "./kernel-function.ts";
export { type BpfProgram, loadProgram, type ProgramOptions } from "./load-program.ts";
export type { Arithmetic, Comparison } from "./operations.ts";
export { PacketContext } from "./packet-context.ts";
export { readCounters } from "./read-counters.ts";
export { Verdict } from "./verdict.ts";
