import { readFileSync } from "node:fs";
import type { DirectionStats } from "@loden/backend";
import type { Netns } from "@loden/netns";

/** What went through a host's VXLAN devices. */
export interface Traffic {
  readonly outbound: DirectionStats;
  readonly inbound: DirectionStats;
}

/**
 * Creates a function that sums up what went through devices since it was created: a device that is made again begins at zero, and its sum goes on.
 *
 * @param devices their names; of one that is not there nothing is counted.
 * @param read gives the text of `/proc/net/dev` where the devices are.
 * @returns the function.
 */
export function createTrafficCounter(devices: readonly string[], read: () => string): () => Traffic {
  const before = new Map<string, readonly number[]>();
  const sums = columns.map(() => 0);
  const count = (): void => {
    const now = parseCounters(read());
    for (const device of devices) {
      const [from, to] = [before.get(device) ?? [], now.get(device) ?? []];
      const isAnother = to.some((value, i) => value < (from[i] ?? 0));
      to.forEach((value, i) => (sums[i] = (sums[i] ?? 0) + value - (isAnother ? 0 : (from[i] ?? 0))));
      before.set(device, to);
    }
  };
  count();
  sums.fill(0);
  return () => {
    count();
    const of = (name: (typeof columns)[number]): number => sums[columns.indexOf(name)] ?? 0;
    return {
      outbound: {
        packets: of("txPackets"),
        bytes: of("txBytes"),
        dropped: { deviceError: of("txErrors"), deviceDrop: of("txDrops") },
      },
      inbound: {
        packets: of("rxPackets"),
        bytes: of("rxBytes"),
        dropped: { deviceError: of("rxErrors"), deviceDrop: of("rxDrops") },
      },
    };
  };
}

/** Reads `/proc/net/dev` of a namespace, or of the calling thread's. */
export function readDeviceCounters(netns: Netns | undefined): string {
  const read = (): string => readFileSync("/proc/thread-self/net/dev", "utf8");
  return netns === undefined ? read() : netns.run(read);
}

/** The columns of `/proc/net/dev` (net/core/net-procfs.c) that count here; the others have no name. */
const columns = [
  "rxBytes",
  "rxPackets",
  "rxErrors",
  "rxDrops",
  "",
  "",
  "",
  "",
  "txBytes",
  "txPackets",
  "txErrors",
  "txDrops",
] as const;

function parseCounters(text: string): Map<string, readonly number[]> {
  return new Map(
    Array.from(text.matchAll(/^ *(\S+): *(.+)$/gm), ([, device = "", values = ""]) => {
      return [device, values.split(/ +/).slice(0, columns.length).map(Number)] as const;
    }),
  );
}
