import { writeFileSync } from "node:fs";
import type { Membership, Underlay } from "@loden/backend";
import type { Prefix } from "@loden/ip";
import type { PacketMemory } from "@loden/packet";
import { type DesiredState, openKernelState } from "@loden/route";
import type { NewAddress } from "@loden/rtnetlink";
import { openTun } from "@loden/tun";
import { inNetns } from "./in-netns.ts";
import type { OnNarrowPath } from "./narrow-paths.ts";
import type { UdpBackendOptions } from "./open-udp-backend.ts";
import { openOuterSockets } from "./outer-sockets.ts";
import { startPumps, type Pumps } from "./start-pumps.ts";

/** What {@link joinOverlay} needs. */
export interface JoinOptions extends UdpBackendOptions, Membership {
  readonly memory: PacketMemory;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  readonly port: number;
  readonly queues: number;
  /** Called when a router found a packet too long that a pump, or the kernel path, has sent to this endpoint. */
  readonly onNarrowPath: OnNarrowPath;
}

/** This host's place in the overlay. */
export interface Attachment {
  readonly deviceName: string;
  readonly pump: Pumps;
  /** Goes on over a changed underlay: binds to its addresses, and gives the device its MTU. */
  move(underlay: Underlay, mtu: number): Promise<void>;
  /** Stops packets and removes everything. */
  leave(): Promise<void>;
}

/**
 * Makes the TUN device with the lease's first addresses, the sockets, the pumps, and the routes of the whole networks to the device. The device stays
 * switched on, and addresses and routes come back when somebody deletes them.
 *
 * Like `ip tuntap add … mode tun`, `ip address add <subnet base>/32 dev loden0` (or `/128`), `ip link set loden0 up mtu …`,
 * `ip route add <network> dev loden0 proto 76`.
 *
 * @param options the settings of the backend, the lease and the network.
 * @param wait `signal` gives up.
 * @returns what `leave` undoes.
 * @throws {TypeError} when the lease has no subnet of a family that the network has.
 * @throws {KernelError} as the kernel answers; what was made is removed again.
 */
export async function joinOverlay(
  options: JoinOptions,
  wait: { readonly signal?: AbortSignal | undefined },
): Promise<Attachment> {
  const { netns, memory, mtu } = options;
  const families = familiesOf(options);
  setLocal(memory, families, mtu);
  await using undo = new AsyncDisposableStack();
  const tun = undo.use(
    openTun({ name: options.deviceName, netns, mtu, offload: true, queues: options.queues }),
  );
  const state = undo.use(
    openKernelState({ netns, links: [tun.name], ownsRoute: ({ link }) => link === tun.name, repair: true }),
  );
  const device: DesiredState = { links: [{ name: tun.name }], addresses: addressesOn(tun.name, families) };
  await state.apply(device, wait);
  // ICMP errors come in through the device with its own address as their source; the kernel takes that for a forgery elsewhere. Not so
  // with IPv6.
  inNetns(netns, () => writeFileSync(`/proc/sys/net/ipv4/conf/${tun.name}/accept_local`, "1"));
  let sockets = openOuterSockets(options, options.underlay);
  undo.defer(() => sockets.close());
  const pump = startPumps(options, tun, sockets);
  // Before descriptors are closed: nobody may read from a number that means something else by then.
  undo.defer(() => pump.stop());
  await pump.ready;
  // The device goes with its descriptors, and these go with it.
  await state.apply(
    { ...device, routes: families.map(({ overlay }) => ({ destination: overlay, link: tun.name })) },
    wait,
  );
  const held = undo.move();

  async function move(underlay: Underlay, changedMtu: number): Promise<void> {
    tun.setMtu(changedMtu);
    memory.local.set({ mtu: changedMtu });
    if (sockets.areAt(underlay)) return;
    const next = openOuterSockets(options, underlay, sockets);
    await pump.move(next);
    sockets.close();
    sockets = next;
  }

  return {
    deviceName: tun.name,
    pump,
    move,
    leave: () => held.disposeAsync(),
  };
}

/** One address family that this host takes part in. */
export interface Family {
  readonly subnet: Prefix;
  readonly overlay: Prefix;
}

/**
 * Lists the families that this host takes part in.
 *
 * @param membership the lease and the network.
 * @throws {TypeError} when there is none.
 */
export function familiesOf({ lease: { subnet }, network }: Membership): readonly Family[] {
  const families: Family[] = [];
  for (const name of ["ipv4", "ipv6"] as const) {
    const [own, overlay] = [subnet[name], network[name]?.network];
    if (own !== undefined && overlay !== undefined) families.push({ subnet: own, overlay });
  }
  if (families.length > 0) return families;
  throw new TypeError(
    "Cannot join the overlay: the lease has no subnet of it, expected one of a family that it has",
  );
}

/** The first address of each subnet, alone: the overlay is behind routes, not on the link. */
function addressesOn(link: string, families: readonly Family[]): NewAddress[] {
  return families.map(({ subnet: { address } }) => ({
    link,
    address,
    prefixLength: address.family === 4 ? 32 : 128,
  }));
}

function setLocal(memory: PacketMemory, families: readonly Family[], mtu: number): void {
  memory.local.set({ mtu, prefixLength: 0, prefixLength6: 0 });
  for (const { subnet } of families) {
    const { address, length } = subnet;
    if (address.family === 4) {
      memory.local.set({ network: address.toNumber(), prefixLength: length, address: address.toNumber() });
    } else {
      memory.local.set({ network6: address.value, prefixLength6: length, address6: address.value });
    }
  }
}
