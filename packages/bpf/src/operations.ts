// Documentation/bpf/standardization/instruction-set.rst

/** The operations of the arithmetic unit, by their names in the instruction set's documentation. */
export type Arithmetic = keyof typeof ARITHMETIC;

/** Comparisons of jumps: unsigned, and signed where they begin with `s`; `&` holds when both have a bit in common. */
export type Comparison = keyof typeof COMPARISONS;

/** Codes of the operations; `div` and `mod` are unsigned. */
export const ARITHMETIC = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  mod: 0x90,
  xor: 0xa0,
  mov: 0xb0,
  arsh: 0xc0,
} as const;

/** Codes of the comparisons. */
export const COMPARISONS = {
  "==": 0x10,
  ">": 0x20,
  ">=": 0x30,
  "&": 0x40,
  "!=": 0x50,
  "s>": 0x60,
  "s>=": 0x70,
  "<": 0xa0,
  "<=": 0xb0,
  "s<": 0xc0,
  "s<=": 0xd0,
} as const;
