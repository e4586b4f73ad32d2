import type { Underlay } from "@loden/backend";
import type { Rtnetlink, RtnetlinkEvent } from "@loden/rtnetlink";
import { LodendError } from "../exit/lodend-error.ts";
import { attachUnderlay, type UnderlayNeeds } from "./attach-underlay.ts";

/** What became of the interface between hosts: it serves again or in another way, or it can't carry packets now. */
export type UnderlayChange =
  | { readonly type: "changed"; readonly underlay: Underlay }
  | { readonly type: "lost"; readonly reason: string };

/** What {@link watchUnderlay} watches. */
export interface WatchUnderlayOptions {
  readonly rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "watch">;
  /** As it was chosen, or as it was last told of. */
  readonly underlay: Underlay;
  /** Which address families serve the backend. */
  readonly needs: UnderlayNeeds;
  readonly signal: AbortSignal;
}

/**
 * Follows the interface between hosts by its name: its MTU, its addresses, whether it is up, and whether it is still the same one. It keeps to the
 * addresses that it has while the interface has them.
 *
 * @param options which one.
 * @returns the changes. After `lost` the next one is `changed`, also when it came back as it was: the kernel forgets what depends on an interface that goes
 * down. Ends by the signal, which it rejects with.
 */
export async function* watchUnderlay(
  options: WatchUnderlayOptions,
): AsyncGenerator<UnderlayChange, void, undefined> {
  const { rtnetlink, signal } = options;
  const { link } = options.underlay;
  let current = options.underlay;
  let index = (await rtnetlink.links.get(link, { signal }))?.index;
  let isLost = false;

  async function look(): Promise<UnderlayChange | undefined> {
    const found = await read({ ...options, underlay: current });
    if (typeof found === "string") {
      if (isLost) return undefined;
      isLost = true;
      return { type: "lost", reason: found };
    }
    if (!isLost && found.index === index && sameUnderlay(found.underlay, current)) return undefined;
    [isLost, index, current] = [false, found.index, found.underlay];
    return { type: "changed", underlay: current };
  }

  const events = rtnetlink.watch(["links", "addresses"], { signal });
  const first = await look();
  if (first !== undefined) yield first;
  for await (const event of events) {
    if (!isAbout(event, link)) continue;
    if (!isLost && interrupts(event)) {
      isLost = true;
      yield { type: "lost", reason: `interface ${link} ${interruptionOf(event)}` };
    }
    const change = await look();
    if (change !== undefined) yield change;
  }
}

function isAbout(event: RtnetlinkEvent, link: string): boolean {
  if (event.type === "link") return event.link.name === link;
  return event.type === "overrun" || (event.type === "address" && event.address.link === link);
}

/** Even when the interface is back by the time that this is read. */
function interrupts(event: RtnetlinkEvent): boolean {
  return event.type === "link" && (event.change === "deleted" || !event.link.running);
}

function interruptionOf(event: RtnetlinkEvent): string {
  return event.type === "link" && event.change === "deleted" ? "is gone" : "is down";
}

async function read({
  rtnetlink,
  underlay,
  needs,
  signal,
}: WatchUnderlayOptions): Promise<{ readonly underlay: Underlay; readonly index: number } | string> {
  const link = await rtnetlink.links.get(underlay.link, { signal });
  if (link === undefined) return `interface ${underlay.link} is gone`;
  if (!link.running) return `interface ${underlay.link} is down`;
  const host = { links: [link], addresses: await rtnetlink.addresses.list({ signal }) };
  const attachment = {
    link: link.name,
    preferred: [underlay.ipv4, underlay.ipv6],
    reason: "chosen at the start",
  };
  try {
    return { underlay: attachUnderlay(host, attachment, needs), index: link.index };
  } catch (error) {
    if (error instanceof LodendError) return error.message;
    throw error;
  }
}

function sameUnderlay(a: Underlay, b: Underlay): boolean {
  return a.mtu === b.mtu && String(a.ipv4) === String(b.ipv4) && String(a.ipv6) === String(b.ipv6);
}
