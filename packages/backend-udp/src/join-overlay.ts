import { writeFileSync } from "node:fs";
import { publishBackendEvent, type Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { closeFd, constants, openSocket } from "@loden/linux";
import type { PacketMemory } from "@loden/packet";
import { openKernelState } from "@loden/route";
import { openRtnetlink } from "@loden/rtnetlink";
import type { NetworkConfig } from "@loden/subnet";
import { openTun, type TunDevice } from "@loden/tun";
import { openUdpSocket } from "@loden/udp";
import type { Netns } from "@loden/netns";
import type { UdpBackendOptions } from "./open-udp-backend.ts";
import { startPumpThread, type PumpThread } from "./pump-thread.ts";

/** What {@link joinOverlay} needs. */
export interface JoinOptions extends UdpBackendOptions {
  readonly lease: Lease;
  readonly network: NetworkConfig;
  readonly memory: PacketMemory;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  readonly port: number;
}

/** This host's place in the overlay. */
export interface Attachment {
  readonly deviceName: string;
  readonly pump: PumpThread;
  /** Goes on over a changed underlay: binds to its address, and gives the device its MTU. */
  move(underlay: Underlay, mtu: number): Promise<void>;
  /** Stops packets and removes everything. */
  leave(): Promise<void>;
}

/**
 * Makes the TUN device with the lease's first address, the socket, the pump, and the route of the whole network to the device.
 *
 * Like `ip tuntap add … mode tun`, `ip address add <subnet base>/32 dev loden0`, `ip link set loden0 up mtu …`,
 * `ip route add <network> dev loden0 proto 76`.
 *
 * @param options the settings of the backend, the lease and the network.
 * @param wait `signal` gives up.
 * @returns what `leave` undoes.
 * @throws {TypeError} when the lease or the network has no IPv4 part.
 * @throws {KernelError} as the kernel answers; what was made is removed again.
 */
export async function joinOverlay(
  options: JoinOptions,
  wait: { readonly signal?: AbortSignal | undefined },
): Promise<Attachment> {
  const { netns, lease, network, memory } = options;
  const subnet = lease.subnet.ipv4;
  const overlay = network.ipv4?.network;
  if (subnet === undefined || overlay === undefined) {
    throw new TypeError(
      "Cannot join the overlay: the lease has no IPv4 subnet, expected one for the udp backend",
    );
  }
  memory.local.set({
    network: subnet.address.toNumber(),
    prefixLength: subnet.length,
    address: subnet.address.toNumber(),
    mtu: options.mtu,
  });
  await using undo = new AsyncDisposableStack();
  const tun = undo.use(openTun({ name: options.deviceName, netns, mtu: options.mtu, offload: true }));
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.addresses.add({ link: tun.name, address: subnet.address, prefixLength: 32 }, wait);
  await rtnetlink.links.set(tun.name, { up: true }, wait);
  // ICMP errors come in through the device with its own address as their source; the kernel takes that for a forgery elsewhere.
  inNetns(netns, () => writeFileSync(`/proc/sys/net/ipv4/conf/${tun.name}/accept_local`, "1"));
  let address = options.underlay.ipv4 as Address;
  let carrier = await openCarrier(options, tun, address);
  // Before the device is closed: nobody may read from a number that means something else by then.
  undo.defer(() => carrier.close());
  const state = undo.use(
    openKernelState({ netns, ownsRoute: ({ link }) => link === tun.name, repair: true }),
  );
  await state.apply({ routes: [{ destination: overlay, link: tun.name }] }, wait);
  undo.defer(async () => void (await state.clear()));
  const held = undo.move();

  async function move({ ipv4 }: Underlay, mtu: number): Promise<void> {
    tun.setMtu(mtu);
    memory.local.set({ mtu });
    if (ipv4 === undefined || ipv4.equals(address)) return;
    const before = carrier;
    carrier = await openCarrier(options, tun, ipv4, before);
    address = ipv4;
  }

  return {
    deviceName: tun.name,
    get pump() {
      return carrier.pump;
    },
    move,
    leave: () => held.disposeAsync(),
  };
}

/** What carries packets between the device and one address of the underlay. */
interface Carrier {
  readonly pump: PumpThread;
  /** Stops the pump, then closes what it read from. */
  close(): Promise<void>;
}

/** Opens the socket and starts the pump; in the place of another one, which ends only when the socket could be opened. */
async function openCarrier(
  options: JoinOptions,
  tun: TunDevice,
  address: Address,
  before?: Carrier,
): Promise<Carrier> {
  const { netns, memory, port } = options;
  await using undo = new AsyncDisposableStack();
  const udp = undo.use(openUdpSocket({ netns, address, port, offload: true, dontFragment: true }));
  const mtuFd = inNetns(netns, () => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
  undo.defer(() => closeFd(mtuFd));
  await before?.close();
  const pump = startPumpThread({
    start: {
      memory: memory.shared(),
      queue: 0,
      tunFd: tun.fd,
      udpFd: udp.fd,
      offloads: tun.offloads,
      mtuFd,
      segmentsPerSend: udp.segmentsPerSend,
      peerSource: options.peerSource ?? "strict",
    },
    workerUrl: options.workerUrl,
    onRestart: (error, restarts) => {
      // A pump that died inside an iteration would keep peer records from being reused.
      memory.queues[0]?.leave();
      publishBackendEvent({ type: "pumpRestarted", backend: "udp", error, restarts });
    },
    onDeviceLost: () => publishBackendEvent({ type: "deviceLost", backend: "udp", device: tun.name }),
  });
  undo.defer(() => pump.stop());
  await pump.ready;
  const held = undo.move();
  return { pump, close: () => held.disposeAsync() };
}

function inNetns<T>(netns: Netns | undefined, fn: () => T): T {
  return netns === undefined ? fn() : netns.run(fn);
}
