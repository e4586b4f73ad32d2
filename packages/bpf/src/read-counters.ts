import type { BpfMap } from "./create-map.ts";

/**
 * Reads 64-bit counters that programs count up, each processor its own: the value of one entry, summed over the processors.
 *
 * @param map a `perCpuArray`, or an `array`, whose values are counters of 8 bytes.
 * @param index which entry.
 * @returns the counters of the entry, in their order. They are not of one instant: programs go on counting meanwhile.
 * @throws {RangeError} for a map of another shape, and for an index that is not in it.
 */
export function readCounters(map: BpfMap, index: number): readonly bigint[] {
  const { kind, name, valueBytes, capacity } = map;
  if (kind === "hash" || valueBytes % 8 !== 0) {
    throw new RangeError(
      `Cannot read counters of the BPF map ${name}: it is of kind ${kind} with values of ${valueBytes} bytes, expected an array of 8-byte counters`,
    );
  }
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, index, true);
  const value = Number.isInteger(index) && index >= 0 && index < capacity ? map.get(key) : undefined;
  if (value === undefined) {
    throw new RangeError(
      `Cannot read counters of the BPF map ${name}: the index is ${index}, expected 0 to ${capacity - 1}`,
    );
  }
  const words = new BigUint64Array(value.buffer);
  const counters = new BigUint64Array(valueBytes / 8);
  for (const [i, word] of words.entries()) counters[i % counters.length]! += word;
  return [...counters];
}
