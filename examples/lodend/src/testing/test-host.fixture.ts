import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { eventually } from "./lodend-process.fixture.ts";

const GATEWAY = parseAddress("192.0.2.254");

/** A switch and hosts that are plugged into it, in anonymous namespaces. */
export interface TestNetwork extends Disposable {
  /** The switch's namespace; it has the address 192.0.2.254 itself. */
  readonly switch: Netns;
  /** One for each host: `eth0` with 192.0.2.1, 192.0.2.2, …, and a default route. */
  readonly hosts: readonly Netns[];
  /** Plugs another card into a host that has lost its `eth0`, with the same address. */
  plug(number: number): Promise<void>;
}

/**
 * Makes a network of hosts.
 *
 *     switch namespace:   bridge "switch" 192.0.2.254
 *                          |        |
 *                        port1    port2  …      (veth)
 *                          |        |
 *     host namespaces:   eth0     eth0
 */
export async function createTestNetwork(size: number): Promise<TestNetwork> {
  const center = createNetns();
  using rtnetlink = openRtnetlink({ netns: center });
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.links.add({ name: "switch", kind: "bridge", addrGenMode: "none", up: true });
  await rtnetlink.addresses.add({ link: "switch", address: GATEWAY, prefixLength: 24 });
  const hosts: Netns[] = [];
  let cards = 0;
  for (let number = 1; number <= size; number++) {
    hosts.push(createNetns());
    await plug(center, hosts[number - 1] as Netns, number, ++cards);
  }
  return {
    switch: center,
    hosts,
    plug: (number) => plug(center, hosts[number - 1] as Netns, number, ++cards),
    [Symbol.dispose]() {
      for (const netns of [center, ...hosts]) netns.close();
    },
  };
}

async function plug(center: Netns, netns: Netns, number: number, card: number): Promise<void> {
  using rtnetlink = openRtnetlink({ netns: center });
  const port = `port${number}`;
  const quiet = { addrGenMode: "none" } as const;
  await rtnetlink.links.add({
    name: port,
    kind: "veth",
    ...quiet,
    peer: { name: "eth0", netns, mac: `02:00:00:00:00:${String(card).padStart(2, "0")}`, ...quiet },
  });
  await rtnetlink.links.set(port, { master: "switch", up: true });
  using host = openRtnetlink({ netns });
  await host.links.set("lo", { up: true });
  await host.addresses.add({ link: "eth0", address: parseAddress(`192.0.2.${number}`), prefixLength: 24 });
  await host.links.set("eth0", { up: true });
  // The kernel tells the two ends of each other some time later.
  await eventually(`eth0 of host ${number} runs`, async () => {
    return (await host.links.get("eth0"))?.running === true;
  });
  await host.routes.add({ destination: parsePrefix("0.0.0.0/0"), gateway: GATEWAY });
}
