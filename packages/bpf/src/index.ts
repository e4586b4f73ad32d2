export { type AccessSize, type Arithmetic, type Assembler, type Comparison, createAssembler, type Label, type Operand, type Register } from "./assemble.ts";
export { type AttachPoint } from "./attach-point.ts";
export { attachProgram, type BpfLink } from "./attach-program.ts";
export { type BpfMap, createMap, type MapOptions } from "./create-map.ts";
export { Helper, PacketContext, Verdict } from "./helper.ts";
export { type BpfProgram, loadProgram, type ProgramOptions } from "./load-program.ts";
