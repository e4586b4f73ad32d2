/** A member of a `union bpf_attr`: its offset, how many bytes it has, and a number or text (which ends with a zero). */
export type Member = readonly [offset: number, bytes: 4 | 8 | 16, value: number | string];

/**
 * Makes a `union bpf_attr` out of its members; the rest is 0.
 *
 * @param bytes how long: up to the end of the last member that the command knows.
 * @param members what it says.
 * @returns the structure, for `bpf` of `@loden/linux`.
 */
export function attributes(bytes: number, members: readonly Member[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(bytes));
  for (const [offset, size, value] of members) {
    if (typeof value === "string")
      new TextEncoder().encodeInto(value, new Uint8Array(view.buffer, offset, size));
    else if (size === 8) view.setBigUint64(offset, BigInt(value), true);
    else view.setUint32(offset, value, true);
  }
  return new Uint8Array(view.buffer);
}
