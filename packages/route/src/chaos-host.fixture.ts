import { setTimeout as sleep } from "node:timers/promises";
import { type Address, parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { untilRunning } from "@loden/rtnetlink/testing";
import { spawnSync } from "node:child_process";
import type { DesiredLink, DesiredState } from "./desired-state.ts";
import { formatObject } from "./plan/format-state-plan.ts";
import type { KernelState } from "./kernel-state.ts";
import type { StateEvent } from "./guard/state-events.ts";

/** A host for tests, with what others have set up on it. */
export interface ChaosHost extends Disposable {
  readonly netns: Netns;
  readonly kernel: Rtnetlink;
  /** Runs lines of `ip` or `bridge` commands as another program would, and throws when one fails. */
  run(commands: string, input?: string): void;
  /** What is not ours, field by field, as `ip` and `bridge` see it. */
  foreign(): unknown;
}

// +---------------------- host ----------------------+
// | loden.1, loden-v6.1 (made by the tests)            |
// | eth0 192.0.2.1/24, 2001:db8::1/64 --veth-- peer0   |
// | others': br9 10.9.0.1/24, vxlan9, neighbours, a    |
// |   forwarding entry, routes beside and under ours   |
// +----------------------------------------------------+

/** Makes the link to the other hosts. */
export const UNDERLAY = `
  ip link add eth0 address 02:00:00:00:09:01 type veth peer name peer0 address 02:00:00:00:09:02
  ip link set eth0 addrgenmode none
  ip link set peer0 addrgenmode none
  ip link set eth0 up
  ip link set peer0 up
  ip address add 192.0.2.1/24 dev eth0
  ip link add vxlan9 address 02:00:00:00:09:03 mtu 1400 type vxlan id 9 dev eth0 local 192.0.2.1 dstport 4789
  ip link set vxlan9 addrgenmode none
  ip link set vxlan9 up
  bridge fdb add 02:00:00:00:00:01 dev vxlan9 dst 192.0.2.99 self permanent
`;

/** What others set up on it, and lose when it goes. */
export const ON_UNDERLAY = `
  ip address replace 2001:db8::1/64 dev eth0 nodad
  ip neighbour replace 192.0.2.11 lladdr 02:00:00:00:09:0b dev eth0 nud permanent
  ip route replace 10.99.0.0/16 via 192.0.2.99 dev eth0 proto static
  ip route replace 10.5.1.0/24 via 192.0.2.99 dev eth0 proto static metric 500
  ip route replace 2001:db8:99::/48 via 2001:db8::99 dev eth0 proto static
`;

/** Makes the host; needs root. */
export async function createChaosHost(): Promise<ChaosHost> {
  const netns = createNetns();
  const kernel = openRtnetlink({ netns });
  const run = (commands: string, input?: string): void => {
    for (const line of commands.split("\n").map((each) => each.trim())) if (line) execute(netns, line, input);
  };
  run("ip link set lo up");
  run(UNDERLAY);
  run(`
    ip link add br9 address 02:00:00:00:09:04 type bridge
    ip link set br9 addrgenmode none
    ip link set br9 up
    ip address add 10.9.0.1/24 dev br9
    ip neighbour add 10.9.0.9 lladdr 02:00:00:00:09:09 dev br9 nud permanent
    ip route add blackhole 10.98.0.0/16 proto boot
    ip route add 10.97.0.0/16 dev br9 proto 76 table 97
    ip rule add to 10.97.0.0/16 table 97 priority 97
  `);
  run(ON_UNDERLAY);
  // The two ends hear of each other some time later.
  await untilRunning(kernel, "eth0", "peer0");
  await untilOwn(kernel, parseAddress("2001:db8::1"));
  return {
    netns,
    kernel,
    run,
    foreign: () => foreignState(netns),
    [Symbol.dispose]() {
      kernel.close();
      netns.close();
    },
  };
}

/** The kernel adds the local route of an IPv6 address some time after the address. */
async function untilOwn({ routes }: Rtnetlink, address: Address): Promise<void> {
  while ((await routes.lookup(address))?.type !== "local") await sleep(1);
}

function execute(netns: Netns, line: string, input?: string): string {
  const [command = "", ...args] = line.split(/\s+/);
  const { status, stderr, stdout } = netns.run(() =>
    spawnSync(command, args, {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      ...(input !== undefined && { input }),
    }),
  );
  if (status !== 0) throw new Error(`Cannot run ${line}: ${stderr}`);
  return stdout;
}

type Listed = Readonly<Record<string, unknown>>;

const OUR_LINKS = new Set(["loden.1", "loden-v6.1"]);

function foreignState(netns: Netns): unknown {
  const list = (line: string): Listed[] =>
    JSON.parse(execute(netns, line) || "[]", (key, value: unknown) =>
      transient.has(key) ? undefined : value,
    ) as Listed[];
  const others = (entries: readonly Listed[]): Listed[] =>
    entries
      .filter(({ dev, ifname }) => !OUR_LINKS.has(String(dev ?? ifname)))
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  const routes = ["-4", "-6"].flatMap((family) => list(`ip -json -details ${family} route show table all`));
  return {
    links: others(list("ip -json -details address")),
    neighbours: others(list("ip -json neighbour show nud permanent")),
    fdb: others(list("bridge -json fdb show")),
    routes: others(routes).filter(({ protocol, table }) => protocol !== "76" || table === "97"),
    rules: list("ip -json rule"),
  };
}

/** What goes on by itself, and numbers that the kernel gives anew. */
const transient = new Set(["gc_timer", "ifindex", "link_index"]);

/** A peer as leases tell of it. */
export interface ChaosPeer {
  readonly number: number;
  /** Last byte of MAC address and public addresses; that of `number` without it. */
  readonly device?: number | undefined;
}

export const chaosPeers: readonly ChaosPeer[] = [{ number: 1 }, { number: 2 }, { number: 3 }];

/** What of the underlay the desired state depends on. */
export interface ChaosUnderlay {
  readonly mtu?: number | undefined;
  readonly ipv4?: string | undefined;
}

/** The state of a dual-stack VXLAN host with these peers (flannel.md, section 7), and for each a direct route besides. */
export function chaosState(
  peers: readonly ChaosPeer[] = chaosPeers,
  underlay: ChaosUnderlay = {},
): Required<DesiredState> {
  const { mtu = 1500, ipv4 = "192.0.2.1" } = underlay;
  const device = (name: string, local: string, overhead: number): DesiredLink => ({
    name,
    kind: "vxlan",
    lower: "eth0",
    mtu: mtu - overhead,
    mac: `02:00:00:00:00:a${overhead === 50 ? 4 : 6}`,
    addrGenMode: "none",
    vxlan: { id: 1, local: parseAddress(local), port: 8472, learning: false },
  });
  const families = [
    {
      link: "loden.1",
      subnet: (n: number) => `10.5.${n}.0`,
      length: 24,
      host: (n: number) => `192.0.2.${10 + n}`,
    },
    {
      link: "loden-v6.1",
      subnet: (n: number) => `fd05:0:0:${n}::`,
      length: 64,
      host: (n: number) => `2001:db8::${10 + n}`,
    },
  ] as const;
  const each = families.flatMap((family) =>
    peers.map((peer) => {
      const far = peer.device ?? peer.number;
      return {
        link: family.link,
        address: parseAddress(family.subnet(peer.number)),
        subnet: parsePrefix(`${family.subnet(peer.number)}/${family.length}`),
        direct: parsePrefix(`${family.subnet(100 + peer.number)}/${family.length}`),
        mac: `02:00:00:00:${family.length}:0${far}`,
        host: parseAddress(family.host(far)),
      };
    }),
  );
  return {
    links: [device("loden.1", ipv4, 50), device("loden-v6.1", "2001:db8::1", 70)],
    addresses: families.map(({ link, subnet, length }) => ({
      link,
      address: parseAddress(subnet(34)),
      prefixLength: length === 24 ? 32 : 128,
      duplicateDetection: false,
    })),
    neighbours: each.map(({ link, address, mac }) => ({ link, address, mac })),
    fdb: each.map(({ link, mac, host }) => ({ link, mac, destination: host })),
    routes: each.flatMap(({ link, address, subnet, direct, host }) => [
      { destination: subnet, gateway: address, link, onlink: true },
      { destination: direct, gateway: host, link: "eth0" },
    ]),
  };
}

/** What is ours, in words, sorted. */
export async function listed(state: Pick<KernelState, "list">): Promise<string[]> {
  return (await state.list()).map(formatObject).toSorted();
}

/** Waits until what is ours is as given, looking after each event. */
export async function becomes(
  state: KernelState,
  events: AsyncIterable<StateEvent>,
  wanted: readonly string[],
): Promise<void> {
  const isSo = async (): Promise<boolean> => (await listed(state)).join("\n") === wanted.join("\n");
  if (await isSo()) return;
  for await (const { type } of events) if (type !== "removed" && (await isSo())) return;
}
