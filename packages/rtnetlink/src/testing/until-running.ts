import { setTimeout as sleep } from "node:timers/promises";
import type { Rtnetlink } from "../open-rtnetlink.ts";

/**
 * Waits until links that were switched on are ready for packets. The two ends of a veth hear of each other some time later; until then they drop what is
 * sent, a bridge forwards nothing to them, and lists of links show another state.
 *
 * @param rtnetlink where they are.
 * @param names which; a link that is not there is waited for.
 */
export async function untilRunning(
  { links }: Pick<Rtnetlink, "links">,
  ...names: readonly string[]
): Promise<void> {
  for (const name of names) while ((await links.get(name))?.running !== true) await sleep(5);
}
