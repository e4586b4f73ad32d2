import { type FirewallRules, formatFirewall, openFirewall, planFirewall } from "@loden/firewall";
import { acquireLease, type Lease, type LeaseAttributes, type LeaseStore, sameOwner } from "@loden/lease";
import type { Rtnetlink } from "@loden/rtnetlink";
import { formatSubnet, formatSubnetEnv, type NetworkConfig, parseSubnetEnv } from "@loden/subnet";
import { desiredRules } from "../firewall/desired-rules.ts";
import { firewallTableOf } from "../firewall/guard-firewall.ts";
import type { Settings } from "../flags/read-settings.ts";
import { explainBlackhole } from "../guard-blackhole.ts";
import { openBackend, underlayNeeds } from "../open-backend.ts";
import { type ChosenUnderlay, chooseUnderlay } from "../underlay/choose-underlay.ts";
import { readSubnetFile } from "../write-subnet-file.ts";
import { createDryRunStore } from "./dry-run-store.ts";
import { networksOf } from "./run-record.ts";

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
  const table = firewallTableOf(settings.name);
  const { link } = underlay;
  const rules = desiredRules({ network, subnet: lease.subnet, link, settings: settings.firewall });
  const env = formatSubnetEnv({
    config: network,
    subnet: lease.subnet,
    mtu,
    ipMasq: settings.firewall.masquerade,
  });
  return [
    `# network ${networksOf(network).join(" and ")}, backend ${backend.type}`,
    describeUnderlay(underlay, attributes),
    `# lease: ${notes.join("; ")}`,
    ...lines(await backend.explain({ lease, network }, peers, { signal })),
    ...lines(await explainBlackhole({ isWanted: settings.blackholeRoute, network }, lease.subnet)),
    ...describePeers(peers),
    `# ${settings.subnetFile}`,
    ...lines(env).map((line) => `#   ${line}`),
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
        `#   ${formatSubnet(subnet)} at ${(attributes.publicIP ?? attributes.publicIPv6)?.toString() ?? "no address"}`,
    ),
  ];
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

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
