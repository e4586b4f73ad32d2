import type { Underlay } from "@loden/backend";
import type { Address, AddressFamily } from "@loden/ip";
import type { LinkAddress, ListedRoute, Rtnetlink } from "@loden/rtnetlink";
import type { Settings } from "../flags/read-settings.ts";
import {
  addressesOf,
  addressesOn,
  attachUnderlay,
  failure,
  type HostLinks,
  type UnderlayNeeds,
} from "./attach-underlay.ts";
import { orderAddresses } from "./order-addresses.ts";

/** The network that joins the hosts, and why it is that one. */
export interface ChosenUnderlay extends Underlay {
  /** Why it was chosen, in words. */
  readonly reason: string;
}

/** What the choice looks at. */
interface Host extends HostLinks {
  readonly rtnetlink: Pick<Rtnetlink, "routes">;
}

interface Choice {
  readonly link: string;
  /** Where the way to the interface tells it; else the interface's best one is taken. */
  readonly address?: Address | undefined;
  readonly reason: string;
}

/**
 * Chooses the interface between hosts as flannel does: `--iface` (name or address), `--iface-regex`, `--iface-can-reach`, in this order; without
 * any of them `--public-ip` or `--public-ipv6`, which must be an address of this host; else where the default route leads.
 *
 * @param rtnetlink the kernel's links, addresses and routes.
 * @param wanted the flags.
 * @param needs which address families serve the backend, the best set first.
 * @param options `signal`.
 * @returns the interface, its MTU, and the addresses.
 * @throws {LodendError} with the host code, naming what was looked at.
 */
export async function chooseUnderlay(
  rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "routes">,
  wanted: Settings["interface"],
  needs: UnderlayNeeds,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ChosenUnderlay> {
  const [links, addresses] = [await rtnetlink.links.list(options), await rtnetlink.addresses.list(options)];
  const host: Host = { rtnetlink, links, addresses };
  const { link, address, reason } = await choose(host, wanted, needs);
  return { ...attachUnderlay(host, { link, preferred: [address], reason }, needs), reason };
}

async function choose(host: Host, wanted: Settings["interface"], needs: UnderlayNeeds): Promise<Choice> {
  const { names, patterns, canReach, publicIP, publicIPv6 } = wanted;
  const families = [...new Set(needs.flat())];
  const tried: string[] = [];
  for (const name of names) {
    const found = byNameOrAddress(host, name, `--iface ${name}`);
    if (found !== undefined) return found;
    tried.push(`--iface ${name}`);
  }
  for (const pattern of patterns) {
    const found = byPattern(host, pattern, families);
    if (found !== undefined) return found;
    tried.push(`--iface-regex ${pattern.source}`);
  }
  if (canReach !== undefined) {
    const found = await byReach(host, canReach);
    if (found !== undefined) return found;
    tried.push(`--iface-can-reach ${canReach.toString()} (no route)`);
  }
  if (tried.length > 0)
    throw failure(`nothing fits ${tried.join(", ")}, expected one of ${describeHost(host)}`);
  for (const [flag, address] of [
    ["--public-ip", publicIP],
    ["--public-ipv6", publicIPv6],
  ] as const) {
    if (address === undefined) continue;
    const found = byNameOrAddress(host, address.toString(), `${flag} ${address.toString()}`);
    if (found !== undefined) return found;
    throw failure(
      `${flag} ${address.toString()} is no address of this host, expected one of ${describeHost(host)}; ` +
        "for an address behind NAT, give --iface too",
    );
  }
  return byDefaultRoute(host, families);
}

function byNameOrAddress(host: Host, text: string, reason: string): Choice | undefined {
  const link = host.links.find(({ name }) => name === text);
  if (link !== undefined) return { link: link.name, reason };
  const found = host.addresses.find(({ address }) => address.toString() === text);
  return found && choiceOf(found, reason);
}

function byPattern(host: Host, pattern: RegExp, families: readonly AddressFamily[]): Choice | undefined {
  const reason = `--iface-regex ${pattern.source}`;
  const usable = families.flatMap((family) =>
    host.links.flatMap(({ name }) => orderAddresses(addressesOn(host, name), family)),
  );
  const found = usable.find(({ address }) => pattern.test(address.toString()));
  if (found !== undefined) return choiceOf(found, reason);
  const link = host.links.find(({ name }) => pattern.test(name));
  return link && { link: link.name, reason };
}

async function byReach(host: Host, target: Address): Promise<Choice | undefined> {
  const route = await host.rtnetlink.routes.lookup(target);
  if (route?.link === undefined) return undefined;
  const reason = `--iface-can-reach ${target.toString()}`;
  return { link: route.link, address: route.source, reason };
}

/** Where the default route of the first family leads that has one. */
async function byDefaultRoute(host: Host, families: readonly AddressFamily[]): Promise<Choice> {
  for (const family of families) {
    const routes = await host.rtnetlink.routes.list({ family });
    const [route] = routes
      .filter(({ destination, type }) => destination.length === 0 && type === "unicast")
      .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
    const link = route && linkOf(route);
    if (link !== undefined) return { link, reason: "the default route" };
  }
  throw failure(
    `the main routing table has no IPv${families.join(" or IPv")} default route, expected one, or --iface with one of ${describeHost(host)}`,
  );
}

/** Of several next hops, the first tells, where flannel gives up. */
function linkOf({ link, nextHops }: ListedRoute): string | undefined {
  return link ?? nextHops?.[0]?.link;
}

function choiceOf({ link, address }: LinkAddress, reason: string): Choice {
  return { link, address, reason };
}

function describeHost(host: Host): string {
  return host.links.map(({ name }) => `${name} (${addressesOf(host, name)})`).join(", ");
}
