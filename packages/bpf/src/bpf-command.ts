/** `enum bpf_cmd`, as far as this package goes. */
export const Command = {
  mapCreate: 0,
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  programLoad: 5,
  linkCreate: 28,
} as const;

/**
 * Makes a `union bpf_attr` out of its members.
 *
 * @param bytes how long.
 * @param members offset, bytes and value of each; text is cut to what it has room for, with a zero at the end.
 */
export function attributes(
  bytes: number,
  members: readonly (readonly [offset: number, size: 4 | 8 | 16, value: number | string])[],
): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  for (const [offset, size, value] of members) {
    if (typeof value === "string") new TextEncoder().encodeInto(value, new Uint8Array(view.buffer, offset, size - 1));
    else if (size === 8) view.setBigUint64(offset, BigInt(value), true);
    else view.setUint32(offset, value, true);
  }
  return new Uint8Array(view.buffer);
}
