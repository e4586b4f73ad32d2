import type { Backend, BackendStats, DirectionStats, Membership, Underlay } from "@loden/backend";
import { createPeerReports, publishBackendEvent } from "@loden/backend";
import type { Address } from "@loden/ip";
import { type Lease, sameAttributes } from "@loden/lease";
import type { Netns } from "@loden/netns";
import { createPacketMemory, readCounters } from "@loden/packet";
import { explainOverlay } from "./explain-overlay.ts";
import { followUnderlay } from "./follow-underlay.ts";
import { createGiveWay } from "./give-way.ts";
import { joinOverlay, type Attachment } from "./join-overlay.ts";
import {
  type KernelCounts,
  type KernelPath,
  type KernelPathState,
  openKernelPath,
} from "./kernel-path/open-kernel-path.ts";
import { publishDecapsulates } from "./kernel-path/published.ts";
import { reasonAgainst } from "./kernel-path/reason-against.ts";
import { createPeerRecords, type PeerRecord } from "./peer-records.ts";

/** The UDP port of flannel's udp backend, unless the network's configuration says otherwise. */
export const DEFAULT_PORT = 8285;
/** As many as a packet memory has. */
const MOST_QUEUES = 64;

/** Settings of {@link openUdpBackend}. */
export interface UdpBackendOptions {
  /** Where devices and sockets are opened; by default the calling thread's own network namespace. */
  readonly netns?: Netns | undefined;
  /** The network that carries the datagrams; a socket is bound to each of this host's addresses on it, IPv4, IPv6 or both. */
  readonly underlay: Underlay;
  /** The IPv4 address that peers send to, where it is not the underlay's (1:1 NAT). */
  readonly publicIP?: Address | undefined;
  /** The IPv6 address that peers send to, where it is not the underlay's. */
  readonly publicIPv6?: Address | undefined;
  /** The UDP port, the same on all hosts. Default 8285. */
  readonly port?: number | undefined;
  /** Name or template of the TUN device. Default `loden%d`. */
  readonly deviceName?: string | undefined;
  /**
   * `strict` accepts datagrams from the published endpoints of peers alone (any port); `any` accepts them from everywhere, as flannel does,
   * for peers that send from another address than they publish. The inner addresses are checked either way. Default `strict`.
   */
  readonly peerSource?: "strict" | "any" | undefined;
  /**
   * How many pumps move packets, each in a thread of its own with a queue of the device and a socket: 1 to 64, 1 by default. Outbound, flows are spread over
   * them; inbound, peers are, so it takes several peers and processors to gain from more than one.
   */
  readonly queues?: number | undefined;
  /**
   * `auto` lets the kernel pass packets on by itself, with BPF programs in front of the TUN device, as far as it can and the underlay allows it; the pumps have
   * the rest. Firewall rules for what this host sends to and receives from its peers' port are passed by. `off` leaves all packets to the pumps.
   * Default `auto`.
   */
  readonly kernelPath?: "auto" | "off" | undefined;
  /** The pump's module, for programs that are bundled into one file. */
  readonly workerUrl?: URL | undefined;
}

/** The UDP backend: what every {@link Backend} has, and what is its own. */
export interface UdpBackend extends Backend {
  readonly type: "udp";
  /** The TUN device's name, once it has joined. */
  readonly deviceName: string | undefined;
  /** How often the pumps were woken from their sleep; steady while no packets move. */
  readonly wakeups: number;
  /** What the kernel does by itself, or why it doesn't. */
  readonly kernelPath: KernelPathState;
}

/**
 * Opens flannel's UDP backend: a TUN device whose packets travel, bare, inside UDP datagrams.
 *
 * Packets are moved in a worker, so that they never wait for the control plane. Opening touches nothing yet; `join` makes the
 * device, the sockets and the routes.
 *
 * A peer is sent to over IPv4 where both hosts have it, else over IPv6. The MTU is the underlay's less 28 bytes, or less 48 on a host without
 * IPv4; what is too long for a peer that only IPv6 reaches is answered with that peer's own MTU, as for any narrower path.
 *
 * @param options the underlay, and what differs from flannel's defaults.
 * @returns the backend; the caller closes it.
 * @throws {RangeError} for an underlay whose MTU can't carry the smallest IPv4 packets, a port that is none, or a number of queues out of range.
 * @throws {TypeError} for an underlay without addresses, or an address of the wrong family.
 */
export function openUdpBackend(options: UdpBackendOptions): UdpBackend {
  const { port = DEFAULT_PORT, queues = 1 } = options;
  checkPort(port);
  checkQueues(queues);
  let { underlay } = options;
  let membership: Membership | undefined;
  let peers: readonly Lease[] = [];
  let { mtu, attributes } = followUnderlay(underlay, options, undefined);
  const memory = createPacketMemory({ queues });
  // Where the pump has to share its processor with this thread, packets don't wait for all of a change.
  const giveWay = createGiveWay();
  const peerRecords = createPeerRecords(port, memory.peers.capacity, giveWay);
  const reportSkipped = createPeerReports("udp");
  let records: readonly PeerRecord[] = [];
  let attachment: Attachment | undefined;
  let kernelPath: KernelPath | undefined;
  let joining = false;
  let closed = false;

  async function join(wanted: Membership, wait: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (closed) throw new TypeError("Cannot join the overlay: the backend is closed, expected an open one");
    if (joining)
      throw new TypeError("Cannot join the overlay: the backend has joined already, expected the first call");
    joining = true;
    try {
      ({ mtu } = followUnderlay(underlay, options, wanted.network));
      membership = wanted;
      // Those that came before could be looked at in part only.
      await apply(peers);
      const onNarrowPath = (endpoint: number): void => kernelPath?.narrowed(endpoint);
      const joined = await joinOverlay(
        { ...options, ...wanted, underlay, memory, mtu, port, queues, onNarrowPath },
        wait,
      );
      // Else nobody would close what has been opened since.
      if (closed) {
        await joined.leave();
        throw new TypeError(
          "Cannot join the overlay: the backend was closed meanwhile, expected an open one",
        );
      }
      attachment = joined;
      kernelPath = await openKernelPathOf(attachment, wanted);
      if (closed) kernelPath?.close();
      kernelPath?.apply(records, mtu);
      followKernelPath();
    } catch (error) {
      joining = false;
      membership = undefined;
      throw error;
    }
  }

  async function apply(wanted: readonly Lease[]): Promise<void> {
    peers = wanted;
    const { skipped, ...made } = peerRecords(peers, { underlay, attributes, membership });
    ({ records } = made);
    memory.peers.replaceAll(records, giveWay);
    kernelPath?.apply(records, mtu);
    reportSkipped(skipped);
  }

  async function setUnderlay(changed: Underlay): Promise<void> {
    const next = followUnderlay(changed, options, membership?.network);
    await attachment?.move(changed, next.mtu);
    underlay = changed;
    const before = mtu;
    ({ mtu } = next);
    await kernelPath?.setUnderlay(changed);
    publishAttributes();
    await apply(peers);
    if (mtu !== before) publishBackendEvent({ type: "mtuChanged", backend: "udp", before, mtu });
  }

  async function openKernelPathOf(
    { deviceName: tun }: Attachment,
    { lease, network }: Membership,
  ): Promise<KernelPath | undefined> {
    const [subnet, family] = [lease.subnet.ipv4, network.ipv4];
    if (options.kernelPath === "off" || subnet === undefined || family === undefined) return undefined;
    const { netns, publicIP } = options;
    const place = { netns, publicIP, port, tun, subnet, prefixLength: family.subnetLength };
    return openKernelPath(
      { ...place, capacity: memory.peers.capacity, onChange: followKernelPath },
      underlay,
    );
  }

  /** Tells what the kernel path does, and peers what they may leave to this host's kernel. */
  function followKernelPath(): void {
    if (kernelPath === undefined) return;
    publishBackendEvent({ type: "kernelPathChanged", backend: "udp", ...kernelPath.state });
    publishAttributes();
  }

  function publishAttributes(): void {
    const { state } = kernelPath ?? {};
    const next = publishDecapsulates(
      followUnderlay(underlay, options, membership?.network).attributes,
      state?.on === true ? state.decapsulates : undefined,
    );
    if (sameAttributes(next, attributes)) return;
    attributes = next;
    publishBackendEvent({ type: "attributesChanged", backend: "udp", attributes });
  }

  function stats(): BackendStats {
    const counters = readCounters(memory);
    const passed = kernelPath?.counts();
    return {
      ...counters,
      ...(passed !== undefined && {
        outbound: addCounts(counters.outbound, passed.outbound),
        inbound: addCounts(counters.inbound, passed.inbound),
      }),
      peers: memory.peers.size,
      restarts: attachment?.pump.restarts ?? 0,
    };
  }

  async function close(): Promise<void> {
    closed = true;
    kernelPath?.close();
    const held = attachment;
    attachment = undefined;
    await held?.leave();
  }

  return {
    type: "udp",
    get mtu() {
      return mtu;
    },
    get attributes() {
      return attributes;
    },
    get deviceNames() {
      return attachment === undefined ? [] : [attachment.deviceName];
    },
    get deviceName() {
      return attachment?.deviceName;
    },
    get wakeups() {
      return attachment?.pump.wakeups ?? 0;
    },
    get kernelPath(): KernelPathState {
      if (closed) return { on: false, reason: "the backend is closed" };
      return kernelPath?.state ?? noKernelPath(options, underlay, membership);
    },
    join,
    apply,
    setUnderlay,
    explain: (place) =>
      explainOverlay({
        ...options,
        ...place,
        underlay,
        port,
        mtu: followUnderlay(underlay, options, place.network).mtu,
      }),
    stats,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function addCounts(direction: DirectionStats, { packets, bytes }: KernelCounts): DirectionStats {
  return { ...direction, packets: direction.packets + packets, bytes: direction.bytes + bytes };
}

function noKernelPath(
  { kernelPath, publicIP }: Pick<UdpBackendOptions, "kernelPath" | "publicIP">,
  underlay: Underlay,
  membership: Membership | undefined,
): KernelPathState {
  if (kernelPath !== "off" && membership === undefined)
    return { on: false, reason: "the host has not joined" };
  const { lease, network } = membership ?? {};
  const place = { subnet: lease?.subnet.ipv4, prefixLength: network?.ipv4?.subnetLength };
  const reason = reasonAgainst({ ...place, kernelPath, underlay, publicIP });
  return { on: false, reason: reason ?? "it is being opened" };
}

function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RangeError(`Cannot open the udp backend: the port is ${port}, expected 1 to 65535`);
  }
}

function checkQueues(queues: number): void {
  if (!Number.isInteger(queues) || queues < 1 || queues > MOST_QUEUES) {
    throw new RangeError(`Cannot open the udp backend: ${queues} queues, expected 1 to ${MOST_QUEUES}`);
  }
}
