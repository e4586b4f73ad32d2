import { type FirewallRules, formatFirewall, openFirewall, planFirewall } from "@loden/firewall";
import { acquireLease, type Lease, type LeaseAttributes, type LeaseStore, sameOwner } from "@loden/lease";
import type { Prefix } from "@loden/ip";
import { formatStatePlan, planState } from "@loden/route";
import type { Rtnetlink } from "@loden/rtnetlink";
import { formatSubnet, formatSubnetEnv, type NetworkConfig, parseSubnetEnv } from "@loden/subnet";
import { desiredRules } from "../firewall/desired-rules.ts";
import { firewallTableOf } from "../firewall/guard-firewall.ts";
import type { Settings } from "../flags/read-settings.ts";
import { openBackend, underlayNeeds } from "../open-backend.ts";
import { type ChosenUnderlay, chooseUnderlay } from "../underlay/choose-underlay.ts";
import { readSubnetFile } from "../write-subnet-file.ts";
import { createDryRunStore } from "./dry-run-store.ts";

/** Route protocol number of Loden. */
const PROTOCOL = 76;

/** What {@link explain} reads. */
export interface ExplainSources {
  readonly settings: Settings;
  readonly store: LeaseStore;
  readonly network: NetworkConfig;
  readonly rtnetlink: Pick<Rtnetlink, "links" | "addresses" | "routes">;
  readonly signal: AbortSignal;
}

/**
 * Says what `run` would do on this host now, as commands that an operator knows, and does none of it: neither in the kernel nor in the store.
 *
 * @param sources settings, store and kernel.
 * @returns lines; comments begin with `#`.
 */
export async function explain(sources: ExplainSources): Promise<string> {
  const { settings, network, rtnetlink, signal } = sources;
  const underlay = await chooseUnderlay(rtnetlink, settings.interface, underlayNeeds(network), { signal });
  await using backend = await openBackend(network, { ...settings, ...settings.interface, underlay });
  const { store, notes } = createDryRunStore(sources.store);
  const { attributes, mtu } = backend;
  const previous = parseSubnetEnv(readSubnetFile(settings.subnetFile) ?? "").subnet;
  const {
    hostName,
    lease: { ttlMs },
  } = settings;
  const { lease } = await acquireLease(store, { attributes, hostName, previous, ttlMs, signal });
  const { leases } = await store.list({ signal });
  const peers = leases.filter((other) => !sameOwner(other.attributes, attributes));
  const device = await firstFreeName(rtnetlink, settings.deviceName);
  const table = firewallTableOf(settings.name);
  const { link } = underlay;
  const rules = desiredRules({ network, subnet: lease.subnet, link, settings: settings.firewall });
  const overlay = network.ipv4?.network as Prefix;
  const env = formatSubnetEnv({
    config: network,
    subnet: lease.subnet,
    mtu,
    ipMasq: settings.firewall.masquerade,
  });
  return [
    `# network ${overlay.toString()}, backend ${backend.type}`,
    describeUnderlay(underlay, attributes),
    `# lease: ${notes.join("; ")}`,
    `ip tuntap add dev ${device} mode tun`,
    `ip address add ${lease.subnet.ipv4?.address.toString()}/32 dev ${device}`,
    `ip link set dev ${device} mtu ${mtu} up`,
    `sysctl -w net.ipv4.conf.${device}.accept_local=1`,
    await planOf(rtnetlink, overlay, device),
    ...describePeers(peers),
    `# ${settings.subnetFile}`,
    ...env
      .trimEnd()
      .split("\n")
      .map((line) => `#   ${line}`),
    ...(await acceptsOf(rules, table, signal)),
    formatFirewall(planFirewall(rules, { table })).trimEnd(),
    "",
  ].join("\n");
}

function describeUnderlay(
  { link, mtu, ipv4, ipv6, reason }: ChosenUnderlay,
  { publicIP, publicIPv6 }: LeaseAttributes,
): string {
  const [own, published] = [
    [ipv4, ipv6],
    [publicIP, publicIPv6],
  ].map((addresses) => addresses.filter((address) => address !== undefined).join(" and "));
  return `# interface ${link} (${reason}), MTU ${mtu}, own address ${own}, published as ${published}`;
}

function describePeers(peers: readonly Lease[]): string[] {
  return [
    `# peers: ${peers.length}`,
    ...peers.map(
      ({ subnet, attributes }) =>
        `#   ${formatSubnet(subnet)} at ${attributes.publicIP?.toString() ?? "no IPv4 address"}`,
    ),
  ];
}

async function planOf(
  rtnetlink: Pick<Rtnetlink, "links" | "routes">,
  destination: Prefix,
  device: string,
): Promise<string> {
  // A new device has no routes yet, so whatever has this one's place is in the way.
  const plan = planState(
    { routes: [{ destination, link: device }] },
    { links: await rtnetlink.links.list(), routes: await rtnetlink.routes.list() },
    {
      table: 254,
      protocol: PROTOCOL,
      links: [],
      ownsRoute: ({ link }) => link === device,
      expects: [device],
    },
  );
  return formatStatePlan(plan).trimEnd();
}

/** What goes into chains of others, which the kernel shows to the privileged alone. */
async function acceptsOf(rules: FirewallRules, table: string, signal: AbortSignal): Promise<string[]> {
  try {
    using firewall = openFirewall({ table });
    return await firewall.explain(rules, { signal });
  } catch (error) {
    signal.throwIfAborted();
    return [`# what others drop could not be read: ${(error as Error).message}`];
  }
}

/** The name that the kernel would make of a template. */
async function firstFreeName(rtnetlink: Pick<Rtnetlink, "links">, template: string): Promise<string> {
  const taken = new Set((await rtnetlink.links.list()).map(({ name }) => name));
  for (let number = 0; ; number++) {
    const name = template.replace("%d", String(number));
    if (name === template || !taken.has(name)) return name;
  }
}
