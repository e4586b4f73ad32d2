import { parsePrefix, type Address, type Prefix } from "@loden/ip";
import { createNetns, deleteNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { netnsName } from "./names.ts";

/** The network that joins the hosts: a documentation prefix, inside the lab's own namespaces alone. */
export const UNDERLAY: Prefix = parsePrefix("192.0.2.0/24");
/** Its MTU in bytes. */
export const UNDERLAY_MTU = 1500;

/** The switch: a bridge in a namespace of its own, so that the machine's own network is never touched. */
export interface Underlay {
  /**
   * Plugs a host's namespace in: its `eth0` gets an address of the underlay.
   *
   * @param host the host's namespace.
   * @param number 1 for the first host.
   * @returns the address.
   */
  plug(host: Netns, number: number): Promise<Address>;
  /** Removes the switch. */
  close(): void;
}

/**
 * Makes the switch.
 *
 *     switch namespace:   bridge "switch"
 *                          |        |
 *                        port1    port2  …      (veth)
 *                          |        |
 *     host namespaces:   eth0     eth0
 *
 * @returns the switch; the caller closes it.
 */
export async function makeUnderlay(): Promise<Underlay> {
  const name = netnsName("switch");
  const netns = createNetns({ name });
  const rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.links.add({ name: "switch", kind: "bridge" });
  await rtnetlink.links.set("switch", { up: true });

  return {
    async plug(host, number) {
      const address = UNDERLAY.nth(number);
      const port = `port${number}`;
      await rtnetlink.links.add({
        name: port,
        kind: "veth",
        mtu: UNDERLAY_MTU,
        peer: { name: "eth0", netns: host },
      });
      await rtnetlink.links.set(port, { master: "switch", up: true });
      using inHost = openRtnetlink({ netns: host });
      await inHost.addresses.add({ link: "eth0", address, prefixLength: UNDERLAY.length });
      await inHost.links.set("eth0", { up: true, mtu: UNDERLAY_MTU });
      return address;
    },
    close() {
      rtnetlink.close();
      netns.close();
      deleteNetns(name);
    },
  };
}
