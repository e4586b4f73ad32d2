import type { Underlay as Attached } from "@loden/backend";
import { type Address, parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { createNetns, deleteNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { familiesOf, type LabSettings } from "./lab-settings.ts";
import { netnsName } from "./names.ts";

/** The networks that join the hosts: documentation prefixes, inside the lab's own namespaces alone. */
export const UNDERLAYS: Readonly<Record<4 | 6, Prefix>> = {
  4: parsePrefix("192.0.2.0/24"),
  6: parsePrefix("2001:db8:2::/64"),
};
/** Which number of the underlay the host outside has. */
const OUTSIDE_NUMBER = 254;
const OUTSIDE_ADDRESSES = ["198.51.100.1", "2001:db8:51::1"];

/** A host that is no member of the overlay. */
export interface Outside {
  readonly netns: Netns;
  /** Its address in each family of the overlay, which hosts reach over their default route. */
  readonly addresses: readonly Address[];
}

/** The switch: a bridge in a namespace of its own, so that the machine's own network is never touched. */
export interface Underlay {
  /** The host outside, where there is one. */
  readonly outside: Outside | undefined;
  /**
   * Plugs a host's namespace in: its `eth0` gets an address of the underlay in each family.
   *
   * @param host the host's namespace.
   * @param number 1 for the first host.
   * @returns how it is attached.
   */
  plug(host: Netns, number: number): Promise<Attached>;
  /** Removes the switch, and the host outside. */
  close(): void;
}

/**
 * Makes the switch.
 *
 *     switch namespace:   bridge "switch"
 *                          |        |               |
 *                        port1    port2  …       port254     (veth)
 *                          |        |               |
 *     host namespaces:   eth0     eth0            eth0       outside, with `nat`: 198.51.100.1 on lo
 *
 * @param settings of the lab.
 * @returns the switch; the caller closes it.
 */
export async function makeUnderlay(settings: LabSettings): Promise<Underlay> {
  const { mtu, nat } = settings;
  const families = familiesOf(settings);
  using undo = new DisposableStack();
  const netns = makeNetns("switch", undo);
  const rtnetlink = undo.use(openRtnetlink({ netns }));
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.links.add({ name: "switch", kind: "bridge" });
  await rtnetlink.links.set("switch", { up: true });

  async function attach(host: Netns, number: number): Promise<Attached> {
    const port = `port${number}`;
    await rtnetlink.links.add({ name: port, kind: "veth", mtu, peer: { name: "eth0", netns: host } });
    await rtnetlink.links.set(port, { master: "switch", up: true });
    using inHost = openRtnetlink({ netns: host });
    await inHost.links.set("lo", { up: true });
    await inHost.links.set("eth0", { mtu });
    for (const family of families) {
      const { length } = UNDERLAYS[family];
      const address = UNDERLAYS[family].nth(number);
      await inHost.addresses.add({ link: "eth0", address, prefixLength: length, duplicateDetection: false });
    }
    await inHost.links.set("eth0", { up: true });
    const [ipv4, ipv6] = ([4, 6] as const).map((family) =>
      families.includes(family) ? UNDERLAYS[family].nth(number) : undefined,
    );
    return { link: "eth0", mtu, ipv4, ipv6 };
  }

  async function makeOutside(): Promise<Outside> {
    const outside = makeNetns("outside", undo);
    await attach(outside, OUTSIDE_NUMBER);
    using inside = openRtnetlink({ netns: outside });
    const addresses = families.map((_, index) => parseAddress(OUTSIDE_ADDRESSES[index] ?? ""));
    for (const address of addresses) {
      const prefixLength = address.family === 4 ? 32 : 128;
      await inside.addresses.add({ link: "lo", address, prefixLength, duplicateDetection: false });
    }
    return { netns: outside, addresses };
  }

  const outside = nat ? await makeOutside() : undefined;
  const held = undo.move();
  return {
    outside,
    async plug(host, number) {
      const attached = await attach(host, number);
      using inHost = openRtnetlink({ netns: host });
      for (const family of outside === undefined ? [] : families) {
        const destination = parsePrefix(family === 4 ? "0.0.0.0/0" : "::/0");
        await inHost.routes.add({
          destination,
          gateway: UNDERLAYS[family].nth(OUTSIDE_NUMBER),
          link: "eth0",
        });
      }
      return attached;
    },
    close: () => held.dispose(),
  };
}

function makeNetns(what: string, undo: DisposableStack): Netns {
  const name = netnsName(what);
  const netns = createNetns({ name });
  undo.defer(() => {
    netns.close();
    deleteNetns(name);
  });
  return netns;
}
