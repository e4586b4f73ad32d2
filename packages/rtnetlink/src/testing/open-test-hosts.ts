import { type Address, parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";
import { untilRunning } from "./until-running.ts";

/** A container: a namespace with one interface on its host's bridge. */
export interface TestContainer {
  /** Where it is. */
  readonly netns: Netns;
  /** Its address in its host's IPv4 subnet. */
  readonly ipv4: Address;
  /** Its address in its host's IPv6 subnet. */
  readonly ipv6: Address;
  /** Makes its packets fit an overlay. */
  setMtu(mtu: number): Promise<void>;
}

/** A host: a namespace with `eth0` on a switch, and one container. */
export interface TestHost {
  /** Where it is. */
  readonly netns: Netns;
  /** A connection to its kernel. */
  readonly rtnetlink: Rtnetlink;
  /** Its IPv4 address on `eth0`. */
  readonly ipv4: Address;
  /** Its IPv6 address on `eth0`. */
  readonly ipv6: Address;
  /** Its slices of 10.5.0.0/16 and fd00:5::/48, whose first address its bridge has. */
  readonly subnet: { readonly ipv4: Prefix; readonly ipv6: Prefix };
  /** What it runs. */
  readonly container: TestContainer;
}

/** What {@link openTestHosts} makes. */
export interface TestHosts extends Disposable {
  /** In the order of their numbers, from 1 on. */
  readonly hosts: readonly [TestHost, TestHost, ...TestHost[]];
  /** The namespace of the switch, which is a router between the two segments as well. */
  readonly middle: Netns;
}

/** What {@link openTestHosts} goes by. */
export interface TestHostsOptions {
  /** How many hosts, 2 to 200. */
  readonly hosts: number;
  /** How many of them, the last ones, are on a segment of their own behind a router. Default 0. */
  readonly behindRouter?: number | undefined;
  /** MTU of the hosts' `eth0`. Default 1500. */
  readonly mtu?: number | undefined;
}

/**
 * Makes hosts on a switch. Host 2 of three, the last of which is behind the router:
 *
 *     container: eth0 10.5.2.2, fd00:5:0:2::2
 *       |
 *     host: cni0 10.5.2.1, fd00:5:0:2::1; eth0 192.0.2.2, 2001:db8::2; default route via the router
 *       |
 *     middle: switch0, where the router is 192.0.2.254, 2001:db8::fe
 *     middle: switch1, where the router is 198.51.100.254, 2001:db8:1::fe; host 3 is 198.51.100.3, 2001:db8:1::3
 *
 * Hosts forward packets, and nothing leads from one container to another host's: that is what is tested.
 *
 * @param options how many.
 * @returns the hosts; closing takes all of it away.
 * @throws {KernelError} EPERM without privilege.
 */
export async function openTestHosts(options: TestHostsOptions): Promise<TestHosts> {
  const { hosts: count, behindRouter = 0, mtu = 1500 } = options;
  using undo = new DisposableStack();
  const middle = undo.use(createNetns());
  const router = undo.use(openRtnetlink({ netns: middle }));
  forward(middle);
  for (const segment of segments) {
    await router.links.add({ name: segment.name, kind: "bridge", mtu, up: true });
    await giveAddresses(router, segment.name, segment.ipv4("254"), segment.ipv6("fe"));
  }
  const hosts: TestHost[] = [];
  for (let number = 1; number <= count; number++) {
    const netns = undo.use(createNetns());
    const rtnetlink = undo.use(openRtnetlink({ netns }));
    const container = undo.use(createNetns());
    settle(container);
    forward(netns);
    const segment = number > count - behindRouter ? segments[1] : segments[0];
    const port = { name: `port${number}`, mtu, master: segment.name, up: true } as const;
    await router.links.add({
      ...port,
      kind: "veth",
      peer: { name: "eth0", netns, mtu, up: true },
    });
    const [ipv4, ipv6] = [segment.ipv4(`${number}`), segment.ipv6(number.toString(16))];
    await rtnetlink.links.set("lo", { up: true });
    await giveAddresses(rtnetlink, "eth0", ipv4, ipv6);
    await rtnetlink.routes.addMany([
      { destination: parsePrefix("0.0.0.0/0"), gateway: segment.ipv4("254") },
      { destination: parsePrefix("::/0"), gateway: segment.ipv6("fe") },
    ]);
    const subnet = {
      ipv4: parsePrefix(`10.5.${number}.0/24`),
      ipv6: parsePrefix(`fd00:5:0:${number.toString(16)}::/64`),
    };
    hosts.push({
      netns,
      rtnetlink,
      ipv4,
      ipv6,
      subnet,
      container: await makeContainer(rtnetlink, container, subnet, mtu),
    });
    await untilRunning(router, port.name);
    await untilRunning(rtnetlink, "eth0", "veth0", "cni0");
  }
  const held = undo.move();
  return {
    hosts: hosts as [TestHost, TestHost, ...TestHost[]],
    middle,
    [Symbol.dispose]: () => held.dispose(),
  };
}

const segments = [
  {
    name: "switch0",
    ipv4: (host: string) => parseAddress(`192.0.2.${host}`),
    ipv6: (host: string) => parseAddress(`2001:db8::${host}`),
  },
  {
    name: "switch1",
    ipv4: (host: string) => parseAddress(`198.51.100.${host}`),
    ipv6: (host: string) => parseAddress(`2001:db8:1::${host}`),
  },
] as const;

async function makeContainer(
  host: Rtnetlink,
  netns: Netns,
  subnet: TestHost["subnet"],
  mtu: number,
): Promise<TestContainer> {
  const quiet = { mtu, up: true } as const;
  await host.links.add({ name: "cni0", kind: "bridge", ...quiet });
  await host.links.add({
    name: "veth0",
    kind: "veth",
    master: "cni0",
    ...quiet,
    peer: { name: "eth0", netns, ...quiet },
  });
  await giveAddresses(host, "cni0", subnet.ipv4.nth(1), subnet.ipv6.nth(1));
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.set("lo", { up: true });
  const [ipv4, ipv6] = [subnet.ipv4.nth(2), subnet.ipv6.nth(2)];
  await giveAddresses(rtnetlink, "eth0", ipv4, ipv6);
  await rtnetlink.routes.addMany([
    { destination: parsePrefix("0.0.0.0/0"), gateway: subnet.ipv4.nth(1) },
    { destination: parsePrefix("::/0"), gateway: subnet.ipv6.nth(1) },
  ]);
  const setMtu = async (wanted: number): Promise<void> => {
    using inside = openRtnetlink({ netns });
    await inside.links.set("eth0", { mtu: wanted });
  };
  return { netns, ipv4, ipv6, setMtu };
}

async function giveAddresses(
  rtnetlink: Rtnetlink,
  link: string,
  ipv4: Address,
  ipv6: Address,
): Promise<void> {
  await rtnetlink.addresses.add({ link, address: ipv4, prefixLength: 24 });
  await rtnetlink.addresses.add({ link, address: ipv6, prefixLength: 64, duplicateDetection: false });
}

function forward(netns: Netns): void {
  settle(netns);
  netns.setSysctl("net/ipv4/ip_forward", 1);
  netns.setSysctl("net/ipv6/conf/all/forwarding", 1);
}

/** Routers ask for neighbours from their link-local address, which waits for nobody here. */
function settle(netns: Netns): void {
  netns.setSysctl("net/ipv6/conf/default/dad_transmits", 0);
}
