import { parsePrefix, type Address, type Prefix } from "@loden/ip";
import { createNetns, deleteNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { netnsName } from "./names.ts";

/** A container: a namespace with one interface on its host's bridge. */
export interface Container {
  readonly netns: Netns;
  readonly address: Address;
}

/** How a host's containers are numbered. */
export interface Numbering {
  /** The host's slice of the overlay; its first address is the bridge's. */
  readonly subnet: Prefix;
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
  { subnet, mtu }: Numbering,
): Promise<Containers> {
  using inHost = openRtnetlink({ netns: host });
  await inHost.links.add({ name: "docker0", kind: "bridge" });
  await inHost.addresses.add({ link: "docker0", address: subnet.nth(1), prefixLength: subnet.length });
  await inHost.links.set("docker0", { up: true });
  const make = async (number: number): Promise<Container> => {
    const name = netnsName(`${hostName}c${number}`);
    const netns = createNetns({ name });
    await inHost.links.add({ name: `veth${number}`, kind: "veth", mtu, peer: { name: "eth0", netns } });
    await inHost.links.set(`veth${number}`, { master: "docker0", up: true });
    return { netns, address: await numberContainer(netns, subnet, number, mtu) };
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

async function numberContainer(netns: Netns, subnet: Prefix, number: number, mtu: number): Promise<Address> {
  const address = subnet.nth(1 + number);
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.addresses.add({ link: "eth0", address, prefixLength: subnet.length });
  await rtnetlink.links.set("eth0", { up: true, mtu });
  await rtnetlink.routes.add({ destination: parsePrefix("0.0.0.0/0"), gateway: subnet.nth(1) });
  return address;
}
