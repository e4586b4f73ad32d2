import type { Underlay } from "@loden/backend";
import type { Link, LinkAddress, Rtnetlink, RtnetlinkEvent } from "@loden/rtnetlink";
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
 * Follows the interface between hosts: its MTU, its addresses, its hardware address, whether it is up, and its name. Where it is gone, or serves no longer, another one
 * of its name is taken. It keeps to the addresses that it has while the interface has them.
 *
 * @param options which one.
 * @returns the changes. After `lost` the next one is `changed`, also when it came back as it was: the kernel forgets what depends on an interface that goes
 * down. Ends by the signal, which it rejects with.
 */
export async function* watchUnderlay(
  options: WatchUnderlayOptions,
): AsyncGenerator<UnderlayChange, void, undefined> {
  const { rtnetlink, signal } = options;
  let current: Attached = { underlay: options.underlay, index: undefined, mac: undefined };
  let isLost = false;

  async function look(): Promise<UnderlayChange | undefined> {
    const found = await read(options, current);
    if (typeof found === "string") {
      if (isLost) return undefined;
      isLost = true;
      return { type: "lost", reason: found };
    }
    if (!isLost && isSame(found, current)) return undefined;
    [isLost, current] = [false, found];
    return { type: "changed", underlay: current.underlay };
  }

  const events = rtnetlink.watch(["links", "addresses"], { signal });
  const link = await rtnetlink.links.get(current.underlay.link, { signal });
  current = { ...current, index: link?.index, mac: link?.mac };
  const first = await look();
  if (first !== undefined) yield first;
  for await (const event of events) {
    if (!isAbout(event, current)) continue;
    if (!isLost && interrupts(event, current)) {
      isLost = true;
      const { link: name } = current.underlay;
      yield { type: "lost", reason: `interface ${name} ${interruptionOf(event)}` };
    }
    const change = await look();
    if (change !== undefined) yield change;
  }
}

/** What is followed: one device, under whatever name. */
interface Attached {
  readonly underlay: Underlay;
  readonly index: number | undefined;
  readonly mac: string | undefined;
}

/** An event about the device, or about another one that has its name. */
function isAbout(event: RtnetlinkEvent, { underlay: { link }, index }: Attached): boolean {
  if (event.type === "link") return event.link.index === index || event.link.name === link;
  if (event.type === "address") return event.address.linkIndex === index || event.address.link === link;
  return event.type === "overrun";
}

/** Even when the interface is back by the time that this is read. */
function interrupts(event: RtnetlinkEvent, { index }: Attached): boolean {
  if (event.type !== "link" || event.link.index !== index) return false;
  return event.change === "deleted" || !event.link.running;
}

function interruptionOf(event: RtnetlinkEvent): string {
  return event.type === "link" && event.change === "deleted" ? "is gone" : "is down";
}

/** Gives how the host is attached now, by the same device or by another one of its name; or why it is not, by either. */
async function read(
  { rtnetlink, needs, signal }: WatchUnderlayOptions,
  { underlay, index }: Attached,
): Promise<Attached | string> {
  const named = await rtnetlink.links.get(underlay.link, { signal });
  const isSameDevice = named !== undefined && (index === undefined || named.index === index);
  const all = isSameDevice ? [] : await rtnetlink.links.list({ signal });
  const candidates = [all.find((link) => link.index === index), named].filter((link) => link !== undefined);
  if (candidates.length === 0) return `interface ${underlay.link} is gone`;
  const addresses = await rtnetlink.addresses.list({ signal });
  let reason: string | undefined;
  for (const link of candidates) {
    const found = attach(link, addresses, underlay, needs);
    if (typeof found !== "string") return { underlay: found, index: link.index, mac: link.mac };
    reason ??= found;
  }
  return reason ?? "";
}

function attach(
  link: Link,
  addresses: readonly LinkAddress[],
  { ipv4, ipv6 }: Underlay,
  needs: UnderlayNeeds,
): Underlay | string {
  if (!link.running) return `interface ${link.name} is down`;
  const attachment = { link: link.name, preferred: [ipv4, ipv6], reason: "chosen at the start" };
  try {
    return attachUnderlay({ links: [link], addresses }, attachment, needs);
  } catch (error) {
    if (error instanceof LodendError) return error.message;
    throw error;
  }
}

function isSame(a: Attached, b: Attached): boolean {
  return a.index === b.index && a.mac === b.mac && sameUnderlay(a.underlay, b.underlay);
}

function sameUnderlay(a: Underlay, b: Underlay): boolean {
  return (
    a.link === b.link &&
    a.mtu === b.mtu &&
    String(a.ipv4) === String(b.ipv4) &&
    String(a.ipv6) === String(b.ipv6)
  );
}
