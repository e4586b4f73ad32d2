import type { Backend, BackendStats, Membership, Underlay } from "@loden/backend";
import { createPeerReports, publishBackendEvent } from "@loden/backend";
import { createPlainUdpCodec } from "@loden/encap";
import type { Address, AddressFamily } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import { yieldProcessor } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { createPacketMemory, readCounters } from "@loden/packet";
import type { NetworkConfig } from "@loden/subnet";
import { explainOverlay } from "./explain-overlay.ts";
import { joinOverlay, type Attachment } from "./join-overlay.ts";
import { LEAST_IPV6_MTU, OUTER_HEADERS } from "./path-mtu.ts";
import { createPeerRecords } from "./peer-records.ts";

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
  let { mtu, attributes } = follow(underlay, options, undefined);
  const memory = createPacketMemory({ queues });
  const peerRecords = createPeerRecords(port, memory.peers.capacity, yieldProcessor);
  const reportSkipped = createPeerReports("udp");
  let attachment: Attachment | undefined;
  let joining = false;
  let closed = false;

  async function join(wanted: Membership, wait: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (closed) throw new TypeError("Cannot join the overlay: the backend is closed, expected an open one");
    if (joining)
      throw new TypeError("Cannot join the overlay: the backend has joined already, expected the first call");
    joining = true;
    try {
      ({ mtu } = follow(underlay, options, wanted.network));
      membership = wanted;
      // Those that came before could be looked at in part only.
      await apply(peers);
      attachment = await joinOverlay({ ...options, ...wanted, underlay, memory, mtu, port, queues }, wait);
    } catch (error) {
      joining = false;
      membership = undefined;
      throw error;
    }
  }

  async function apply(wanted: readonly Lease[]): Promise<void> {
    peers = wanted;
    const { records, skipped } = peerRecords(peers, { underlay, attributes, membership });
    // Where the pump has to share its processor with this thread, packets don't wait for all of it.
    memory.peers.replaceAll(records, yieldProcessor);
    reportSkipped(skipped);
  }

  async function setUnderlay(changed: Underlay): Promise<void> {
    const next = follow(changed, options, membership?.network);
    await attachment?.move(changed, next.mtu);
    underlay = changed;
    const before = { mtu, attributes };
    ({ mtu } = next);
    if (!sameAttributes(next.attributes, attributes)) ({ attributes } = next);
    await apply(peers);
    if (mtu !== before.mtu)
      publishBackendEvent({ type: "mtuChanged", backend: "udp", before: before.mtu, mtu });
    if (attributes !== before.attributes)
      publishBackendEvent({ type: "attributesChanged", backend: "udp", attributes });
  }

  function stats(): BackendStats {
    return { ...readCounters(memory), peers: memory.peers.size, restarts: attachment?.pump.restarts ?? 0 };
  }

  async function close(): Promise<void> {
    closed = true;
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
    join,
    apply,
    setUnderlay,
    explain: (place) =>
      explainOverlay({ ...options, ...place, mtu: follow(underlay, options, place.network).mtu }),
    stats,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What follows from an underlay: the tunnel's MTU, and what peers have to know. */
function follow(
  { ipv4, ipv6, mtu }: Underlay,
  { publicIP = ipv4, publicIPv6 = ipv6 }: UdpBackendOptions,
  network: NetworkConfig | undefined,
): { readonly mtu: number; readonly attributes: LeaseAttributes } {
  const attempt = "Cannot use the underlay for the udp backend";
  if (ipv4 === undefined && ipv6 === undefined)
    throw new TypeError(`${attempt}: it has no address, expected an IPv4 or IPv6 address`);
  checkFamily(`${attempt}: its address`, ipv4, 4);
  checkFamily(`${attempt}: its address`, ipv6, 6);
  checkFamily(`${attempt}: the public IP`, publicIP, 4);
  checkFamily(`${attempt}: the public IPv6`, publicIPv6, 6);
  const overhead = OUTER_HEADERS[ipv4 === undefined ? "ipv6" : "ipv4"] + createPlainUdpCodec().overhead;
  if (!Number.isInteger(mtu) || mtu < 68 + overhead || mtu > 65_535) {
    throw new RangeError(`${attempt}: its MTU is ${mtu}, expected ${68 + overhead} to 65535 bytes`);
  }
  return {
    // The kernel takes IPv6 away from a device with less; the datagrams are fragmented then.
    mtu: Math.max(mtu - overhead, network?.ipv6 === undefined ? 0 : LEAST_IPV6_MTU),
    attributes: {
      ...(ipv4 !== undefined && { publicIP }),
      ...(ipv6 !== undefined && { publicIPv6 }),
      backendType: "",
    },
  };
}

function checkFamily(what: string, address: Address | undefined, family: AddressFamily): void {
  if (address === undefined || address.family === family) return;
  throw new TypeError(`${what} is ${address.toString()}, expected an IPv${family} address`);
}

function sameAttributes(a: LeaseAttributes, b: LeaseAttributes): boolean {
  return sameAddress(a.publicIP, b.publicIP) && sameAddress(a.publicIPv6, b.publicIPv6);
}

function sameAddress(a: Address | undefined, b: Address | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
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
