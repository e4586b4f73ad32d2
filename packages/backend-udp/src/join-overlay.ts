import { writeFileSync } from "node:fs";
import { publishBackendEvent, type Membership, type Underlay } from "@loden/backend";
import { type Address, addressFromBytes, type Prefix } from "@loden/ip";
import type { PacketMemory } from "@loden/packet";
import { openKernelState } from "@loden/route";
import { openRtnetlink } from "@loden/rtnetlink";
import { openTun, type TunDevice } from "@loden/tun";
import type { Netns } from "@loden/netns";
import type { UdpBackendOptions } from "./open-udp-backend.ts";
import { formatPacketAddress, packetAddress } from "./packet-addresses.ts";
import { openOuterSockets, type OuterSockets } from "./outer-sockets.ts";
import { startPumpThread, type PumpThread } from "./pump-thread.ts";

/** What {@link joinOverlay} needs. */
export interface JoinOptions extends UdpBackendOptions, Membership {
  readonly memory: PacketMemory;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  readonly port: number;
}

/** This host's place in the overlay. */
export interface Attachment {
  readonly deviceName: string;
  readonly pump: PumpThread;
  /** Goes on over a changed underlay: binds to its addresses, and gives the device its MTU. */
  move(underlay: Underlay, mtu: number): Promise<void>;
  /** Stops packets and removes everything. */
  leave(): Promise<void>;
}

/**
 * Makes the TUN device with the lease's first addresses, the sockets, the pump, and the routes of the whole networks to the device.
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
  const tun = undo.use(openTun({ name: options.deviceName, netns, mtu, offload: true }));
  using rtnetlink = openRtnetlink({ netns });
  for (const { subnet } of families) {
    const { address } = subnet;
    await rtnetlink.addresses.add(
      { link: tun.name, address, prefixLength: address.family === 4 ? 32 : 128 },
      wait,
    );
  }
  await rtnetlink.links.set(tun.name, { up: true }, wait);
  // ICMP errors come in through the device with its own address as their source; the kernel takes that for a forgery elsewhere. Not so
  // with IPv6.
  inNetns(netns, () => writeFileSync(`/proc/sys/net/ipv4/conf/${tun.name}/accept_local`, "1"));
  let sockets = openOuterSockets(options, options.underlay);
  undo.defer(() => sockets.close());
  let pump = startPump(options, tun, sockets);
  // Before descriptors are closed: nobody may read from a number that means something else by then.
  undo.defer(() => pump.stop());
  await pump.ready;
  const state = undo.use(
    openKernelState({ netns, ownsRoute: ({ link }) => link === tun.name, repair: true }),
  );
  await state.apply(
    { routes: families.map(({ overlay }) => ({ destination: overlay, link: tun.name })) },
    wait,
  );
  undo.defer(async () => void (await state.clear()));
  const held = undo.move();

  async function move(underlay: Underlay, changedMtu: number): Promise<void> {
    tun.setMtu(changedMtu);
    memory.local.set({ mtu: changedMtu });
    if (sockets.areAt(underlay)) return;
    const next = openOuterSockets(options, underlay, sockets);
    await pump.stop();
    pump = startPump(options, tun, next);
    sockets.close();
    sockets = next;
    await pump.ready;
  }

  return {
    deviceName: tun.name,
    get pump() {
      return pump;
    },
    move,
    leave: () => held.disposeAsync(),
  };
}

/** One address family that this host takes part in. */
interface Family {
  readonly subnet: Prefix;
  readonly overlay: Prefix;
}

function familiesOf({ lease: { subnet }, network }: Membership): readonly Family[] {
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

function startPump(options: JoinOptions, tun: TunDevice, { ipv4, ipv6 }: OuterSockets): PumpThread {
  const { memory } = options;
  return startPumpThread({
    start: {
      memory: memory.shared(),
      queue: 0,
      tunFd: tun.fd,
      ipv4: ipv4?.fds,
      ipv6: ipv6?.fds,
      offloads: tun.offloads,
      peerSource: options.peerSource ?? "strict",
    },
    workerUrl: options.workerUrl,
    onRestart: (error, restarts) => {
      // A pump that died inside an iteration would keep peer records from being reused.
      memory.queues[0]?.leave();
      publishBackendEvent({ type: "pumpRestarted", backend: "udp", error, restarts });
    },
    onDeviceLost: () => publishBackendEvent({ type: "deviceLost", backend: "udp", device: tun.name }),
    onUnknownSender: (sender, source) =>
      reportSender(memory, addressFromBytes(sender), addressFromBytes(source)),
  });
}

// `any` takes what has a peer's address inside; so does flannel.
function reportSender({ peers }: PacketMemory, sender: Address, source: Address): void {
  const record = peers.find(packetAddress(source));
  const endpoint = record < 0 ? undefined : peers.endpointAddress(record);
  publishBackendEvent({
    type: "senderUnknown",
    backend: "udp",
    sender: sender.toString(),
    source: source.toString(),
    expected: endpoint === undefined ? undefined : formatPacketAddress(endpoint),
    admittedBy: endpoint === undefined ? undefined : "peerSource: any",
  });
}

function inNetns<T>(netns: Netns | undefined, fn: () => T): T {
  return netns === undefined ? fn() : netns.run(fn);
}
