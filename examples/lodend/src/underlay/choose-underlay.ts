import type { Address } from "@loden/ip";
import type { Link, LinkAddress, ListedRoute, Rtnetlink } from "@loden/rtnetlink";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import type { Settings } from "../flags/read-settings.ts";
import { orderAddresses } from "./order-addresses.ts";

/** The network that joins the hosts, as this host is plugged into it. */
export interface Underlay {
  /** The interface's name. */
  readonly link: string;
  /** Its MTU in bytes. */
  readonly mtu: number;
  /** This host's own address on it; sockets are bound to it. */
  readonly address: Address;
  /** What peers send to. */
  readonly publicIP: Address;
  /** Why it was chosen, in words. */
  readonly reason: string;
}

/** What the choice looks at; each list is asked for once. */
interface Host {
  readonly rtnetlink: Pick<Rtnetlink, "routes">;
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
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
 * @param options `signal`.
 * @returns the interface, its MTU, and the addresses.
 * @throws {LodendError} with the host code, naming what was looked at.
 */
export async function chooseUnderlay(
  rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "routes">,
  wanted: Settings["interface"],
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Underlay> {
  const [links, addresses] = [await rtnetlink.links.list(options), await rtnetlink.addresses.list(options)];
  const host: Host = { rtnetlink, links, addresses };
  const { link: name, address: told, reason } = await choose(host, wanted);
  const link = links.find((candidate) => candidate.name === name);
  if (link === undefined) throw failure(`interface ${name} is gone`);
  const address = told ?? bestAddress(host, name)?.address;
  if (address === undefined) {
    throw failure(
      `interface ${name} (${reason}) has no usable IPv4 address, expected one; its addresses: ${addressesOf(host, name)}`,
    );
  }
  if (link.mtu === 0) throw failure(`interface ${name} (${reason}) has an MTU of 0, expected more`);
  return { link: name, mtu: link.mtu, address, publicIP: wanted.publicIP ?? address, reason };
}

async function choose(host: Host, wanted: Settings["interface"]): Promise<Choice> {
  const { names, patterns, canReach, publicIP, publicIPv6 } = wanted;
  const tried: string[] = [];
  for (const name of names) {
    const found = byNameOrAddress(host, name, `--iface ${name}`);
    if (found !== undefined) return found;
    tried.push(`--iface ${name}`);
  }
  for (const pattern of patterns) {
    const found = byPattern(host, pattern);
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
  return byDefaultRoute(host);
}

function byNameOrAddress(host: Host, text: string, reason: string): Choice | undefined {
  const link = host.links.find(({ name }) => name === text);
  if (link !== undefined) return { link: link.name, reason };
  const found = host.addresses.find(({ address }) => address.toString() === text);
  return found && choiceOf(found, reason);
}

function byPattern(host: Host, pattern: RegExp): Choice | undefined {
  const reason = `--iface-regex ${pattern.source}`;
  const usable = host.links.flatMap(({ name }) => orderAddresses(on(host, name), 4));
  const found = usable.find(({ address }) => pattern.test(address.toString()));
  if (found !== undefined) return choiceOf(found, reason);
  const link = host.links.find(({ name }) => pattern.test(name));
  return link && { link: link.name, reason };
}

async function byReach(host: Host, target: Address): Promise<Choice | undefined> {
  const route = await host.rtnetlink.routes.lookup(target);
  if (route?.link === undefined) return undefined;
  const reason = `--iface-can-reach ${target.toString()}`;
  return { link: route.link, address: target.family === 4 ? route.source : undefined, reason };
}

async function byDefaultRoute(host: Host): Promise<Choice> {
  const routes = await host.rtnetlink.routes.list({ family: 4 });
  const [route] = routes
    .filter(({ destination, type }) => destination.length === 0 && type === "unicast")
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
  const link = route && linkOf(route);
  if (link === undefined) {
    throw failure(
      `the main routing table has no IPv4 default route, expected one, or --iface with one of ${describeHost(host)}`,
    );
  }
  return { link, reason: "the default route" };
}

/** Of several next hops, the first tells, where flannel gives up. */
function linkOf({ link, nextHops }: ListedRoute): string | undefined {
  return link ?? nextHops?.[0]?.link;
}

function choiceOf({ link, address }: LinkAddress, reason: string): Choice {
  return { link, address: address.family === 4 ? address : undefined, reason };
}

function bestAddress(host: Host, link: string): LinkAddress | undefined {
  return orderAddresses(on(host, link), 4)[0];
}

function on({ addresses }: Host, link: string): LinkAddress[] {
  return addresses.filter((address) => address.link === link);
}

function addressesOf(host: Host, link: string): string {
  return (
    on(host, link)
      .map(({ address }) => address.toString())
      .join(", ") || "none"
  );
}

function describeHost(host: Host): string {
  return host.links.map(({ name }) => `${name} (${addressesOf(host, name)})`).join(", ");
}

function failure(what: string): LodendError {
  return new LodendError(ExitCode.host, `Cannot choose the interface between hosts: ${what}`);
}
