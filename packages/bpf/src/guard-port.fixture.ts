import {
  type AttachPoint,
  type BpfMap,
  createAssembler,
  createMap,
  KernelFunction,
  loadProgram,
  PacketContext,
  Verdict,
} from "./index.ts";
import type { BpfProgram } from "./load-program.ts";

/** Entries of the counters of {@link loadGuard}: packets and bytes each. */
export const Counted = { passed: 0, dropped: 1 } as const;

/** Makes the counters. */
export function createCounters(): BpfMap {
  return createMap({ kind: "perCpuArray", name: "counters", keyBytes: 4, valueBytes: 16, capacity: 2 });
}

/**
 * Loads a program that drops UDP packets to a port and counts all UDP packets. The others are not its business.
 *
 * @param at where it is attached.
 * @param counters from {@link createCounters}.
 * @param port to which nothing gets through.
 * @param header bytes before the IPv4 header.
 */
export function loadGuard(at: AttachPoint, counters: BpfMap, port: number, header: number = 0): BpfProgram {
  const instructions = createAssembler()
    .alu("mov", 6, "r1")
    .load(4, 2, 1, PacketContext.data)
    .load(4, 3, 1, PacketContext.data_end)
    .alu("mov", 4, "r2")
    .alu("add", 4, header + 28)
    .jumpIf(4, ">", "r3", "other")
    .load(1, 5, 2, header + 9)
    .jumpIf(5, "!=", 17, "other")
    .alu("mov", 9, Verdict.next)
    .store(4, 10, -4, Counted.passed)
    .load(2, 7, 2, header + 22)
    .networkOrder(7, 16)
    .jumpIf32(7, "!=", port, "count")
    .alu("mov", 9, Verdict.drop)
    .store(4, 10, -4, Counted.dropped)
    .label("count")
    .load(4, 8, 6, PacketContext.len)
    .loadMap(1, counters.fd)
    .alu("mov", 2, "r10")
    .alu("add", 2, -4)
    .call(KernelFunction.map_lookup_elem)
    .jumpIf(0, "==", 0, "done")
    .alu("mov", 1, 1)
    .atomicAdd(8, 0, 0, 1)
    .atomicAdd(8, 0, 8, 8)
    .label("done")
    .alu("mov", 0, "r9")
    .exit()
    .label("other")
    .alu("mov", 0, Verdict.next)
    .exit()
    .assemble();
  return loadProgram({ name: `guard_${at}`, at, instructions, license: "Apache-2.0" });
}
