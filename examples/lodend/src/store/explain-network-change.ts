import { formatSubnet, isUsable, type FamilyNetwork, type NetworkConfig, type Subnet } from "@loden/subnet";

/** What a change of the network's configuration means to a host that runs. */
export interface NetworkChange {
  /** What differs, in words: `SubnetMax is 10.5.9.0 instead of 10.5.255.0`. */
  readonly what: string;
  /** What comes of it, and when. */
  readonly effect: string;
  /** Whether this host goes on by the old value until it is started again. */
  readonly needsRestart: boolean;
}

/**
 * Compares two configurations of a network.
 *
 * @param before by which the host runs.
 * @param after as the store has it now.
 * @param held the host's subnet.
 * @returns what changed; nothing when they mean the same.
 */
export function explainNetworkChange(
  before: NetworkConfig,
  after: NetworkConfig,
  held: Subnet,
): NetworkChange[] {
  const changes: NetworkChange[] = [];
  const note = (
    key: string,
    old: Comparable,
    now: Comparable,
    effect: string,
    needsRestart: boolean,
  ): void => {
    if (textOf(old) === textOf(now)) return;
    changes.push({ what: `${key} is ${textOf(now)} instead of ${textOf(old)}`, effect, needsRestart });
  };
  const restart = "applies when lodend is started again, on every host";
  const fits = isUsable(after, held)
    ? "this host's subnet still fits; applies to leases that are acquired from now on"
    : "this host's subnet does not fit any more: it is kept and renewed until lodend is started again, which takes another";
  note("EnableIPv4", before.enableIPv4, after.enableIPv4, restart, true);
  note("EnableIPv6", before.enableIPv6, after.enableIPv6, restart, true);
  for (const [infix, old, now] of [
    ["", before.ipv4, after.ipv4],
    ["IPv6", before.ipv6, after.ipv6],
  ] as const) {
    if (old === undefined || now === undefined) continue;
    note(
      `${infix}Network`,
      old.network,
      now.network,
      `routes and firewall rules are of the old one: ${restart}`,
      true,
    );
    for (const [key, member] of ranges)
      note(`${infix}${key}`, old[member], now[member], fits, !isUsable(after, held));
  }
  note(
    "EnableNFTables",
    before.enableNFTables,
    after.enableNFTables,
    "nothing changes: lodend always uses nftables",
    false,
  );
  note(
    "Loden.Assignments",
    assignmentsOf(before),
    assignmentsOf(after),
    "applies to leases that are acquired from now on",
    false,
  );
  note("Backend.Type", before.backend.type, after.backend.type, restart, true);
  if (before.backend.type === after.backend.type && !sameOptions(before, after)) {
    changes.push({ what: "the options of Backend changed", effect: restart, needsRestart: true });
  }
  return changes;
}

const ranges = [
  ["SubnetLen", "subnetLength"],
  ["SubnetMin", "subnetMin"],
  ["SubnetMax", "subnetMax"],
] as const satisfies readonly (readonly [string, keyof FamilyNetwork])[];

type Comparable = { toString(): string } | undefined;

function assignmentsOf({ assignments }: NetworkConfig): string | undefined {
  if (assignments === undefined) return undefined;
  return Array.from(assignments, ([name, subnet]) => `${name} ${formatSubnet(subnet)}`)
    .toSorted()
    .join(", ");
}

/** The options may hold secrets, so they are compared and never shown. */
function sameOptions(a: NetworkConfig, b: NetworkConfig): boolean {
  const text = ({ backend }: NetworkConfig): string =>
    JSON.stringify(
      Object.entries(backend.options)
        .map(([name, value]) => [name.toLowerCase(), value] as const)
        .toSorted(([left], [right]) => (left < right ? -1 : 1)),
    );
  return text(a) === text(b);
}

function textOf(value: Comparable): string {
  return value === undefined ? "absent" : value.toString();
}
