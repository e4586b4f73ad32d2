import { parsePrefix, type Address, type Prefix } from "@loden/ip";
import { createNetns, deleteNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { netnsName } from "./names.ts";

/** A container: a namespace with one interface on its host's bridge. */
export interface Container {
  readonly netns: Netns;
  /** One in each family of the overlay. */
  readonly addresses: readonly Address[];
}

/** How a host's containers are numbered. */
export interface Numbering {
  /** The host's slice of the overlay in each family; its first address is the bridge's. */
  readonly subnets: readonly Prefix[];
  /** Of their interfaces, in bytes. */
  readonly mtu: number;
}

/** A host's bridge and what is on it. */
export interface Containers {
  readonly all: readonly Container[];
  readonly first: Container;
  /** Removes the containers; the bridge goes with the host. */
  close(): void;
}

/**
 * Makes what `dockerd --bip=$FLANNEL_SUBNET --mtu=$FLANNEL_MTU` and two `docker run` would: a bridge that owns the first address of the subnet, and
 * containers numbered after it.
 *
 *     host namespace:  docker0 (x.y.z.1/24)
 *                       |        |
 *     containers:     eth0     eth0
 *                    x.y.z.2   x.y.z.3
 *
 * @param host the host's namespace.
 * @param hostName the host's name, for those of the containers' namespaces.
 * @param numbering what the host's own `subnet.env` says.
 * @returns the containers.
 */
export async function makeContainers(
  host: Netns,
  hostName: string,
  { subnets, mtu }: Numbering,
): Promise<Containers> {
  using inHost = openRtnetlink({ netns: host });
  await inHost.links.add({ name: "docker0", kind: "bridge", mtu });
  for (const subnet of subnets) await addAddress(host, "docker0", subnet, 1);
  await inHost.links.set("docker0", { up: true });
  const make = async (number: number): Promise<Container> => {
    const name = netnsName(`${hostName}c${number}`);
    const netns = createNetns({ name });
    await inHost.links.add({ name: `veth${number}`, kind: "veth", mtu, peer: { name: "eth0", netns } });
    await inHost.links.set(`veth${number}`, { master: "docker0", up: true });
    return { netns, addresses: await numberContainer(netns, subnets, number, mtu) };
  };
  const first = await make(1);
  const all = [first, await make(2)];
  return {
    all,
    first,
    close() {
      for (const { netns } of all) {
        netns.close();
        if (netns.name !== undefined) deleteNetns(netns.name);
      }
    },
  };
}

async function numberContainer(
  netns: Netns,
  subnets: readonly Prefix[],
  number: number,
  mtu: number,
): Promise<Address[]> {
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.links.set("eth0", { mtu });
  const addresses: Address[] = [];
  for (const subnet of subnets) addresses.push(await addAddress(netns, "eth0", subnet, 1 + number));
  await rtnetlink.links.set("eth0", { up: true });
  for (const subnet of subnets) {
    const destination = parsePrefix(subnet.family === 4 ? "0.0.0.0/0" : "::/0");
    await rtnetlink.routes.add({ destination, gateway: subnet.nth(1), link: "eth0" });
  }
  return addresses;
}

/** Gives a link the nth address of a subnet; IPv6 need not ask whether somebody else has it. */
async function addAddress(netns: Netns, link: string, subnet: Prefix, number: number): Promise<Address> {
  using rtnetlink = openRtnetlink({ netns });
  const address = subnet.nth(number);
  await rtnetlink.addresses.add({ link, address, prefixLength: subnet.length, duplicateDetection: false });
  return address;
}
