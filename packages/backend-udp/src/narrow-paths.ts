import { constants } from "@loden/linux";
import type { PacketBatch } from "@loden/packet";

/** How many endpoints are remembered; an older one is told of again. */
const MOST_ENDPOINTS = 64;
/** An endpoint is told of once in this time. */
const QUIET_MS = 1000;

/** Told of an IPv4 endpoint, as an unsigned number, to which a packet was too long for some router. */
export type OnNarrowPath = (endpoint: number) => void;

/**
 * Makes the function that looks through a batch of what routers sent back, and tells of the endpoints that it was sent to, each at most once in a second: anybody
 * can send ICMP errors.
 *
 * @param tell whom to tell. @param now a time in milliseconds.
 * @returns the function; it takes the batch as it was received.
 */
export function createNarrowPaths(tell: OnNarrowPath, now: () => number): (batch: PacketBatch) => void {
  const endpoints = new Uint32Array(MOST_ENDPOINTS);
  const told = new Float64Array(MOST_ENDPOINTS).fill(-QUIET_MS);
  let next = 0;
  return ({ count, endpoints: names, view }) => {
    const time = now();
    for (let i = 0; i < count; i++) {
      const name = names[i] as number;
      if (name === 0 || view.getUint16(name, true) !== constants.AF_INET) continue;
      const endpoint = view.getUint32(name + 4, false);
      const known = endpoints.indexOf(endpoint);
      if (known >= 0 && time - (told[known] as number) < QUIET_MS) continue;
      const place = known >= 0 ? known : next;
      if (known < 0) next = (next + 1) % MOST_ENDPOINTS;
      endpoints[place] = endpoint;
      told[place] = time;
      tell(endpoint);
    }
  };
}
