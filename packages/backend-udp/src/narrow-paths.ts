import { constants } from "@loden/linux";
import type { PacketBatch } from "@loden/packet";

/** How many endpoints are told of at most before all are forgotten. */
const MOST_ENDPOINTS = 64;
/** All are forgotten so long after the first. */
const QUIET_MS = 1000;

/** Told of an IPv4 endpoint, as an unsigned number, to which a packet was too long for some router. */
export type OnNarrowPath = (endpoint: number) => void;

/**
 * Makes the function that looks through a batch of what routers sent back, and tells of the endpoints that it was sent to: of each once in a second, and of 64 at
 * most, since anybody can send ICMP errors. It makes no garbage.
 *
 * @param tell whom to tell.
 * @returns the function; it takes the batch as it was received.
 */
export function createNarrowPaths(tell: OnNarrowPath): (batch: PacketBatch) => void {
  // Signed: an unsigned number may take an object.
  const endpoints = new Int32Array(MOST_ENDPOINTS);
  let told = 0;
  const forget = (): void => {
    endpoints.fill(0);
    told = 0;
  };
  return ({ count, endpoints: names, view }) => {
    for (let i = 0; i < count; i++) {
      const name = names[i] as number;
      if (name === 0 || view.getUint16(name, true) !== constants.AF_INET) continue;
      const endpoint = view.getInt32(name + 4, false);
      if (told === MOST_ENDPOINTS || endpoints.includes(endpoint)) continue;
      if (told === 0) setTimeout(forget, QUIET_MS).unref();
      endpoints[told++] = endpoint;
      tell(endpoint >>> 0);
    }
  };
}
