import type { Backend, BackendStats, Membership, Underlay } from "@loden/backend";
import { publishBackendEvent } from "@loden/backend";
import { createPlainUdpCodec } from "@loden/encap";
import type { Address } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import type { Netns } from "@loden/netns";
import { createPacketMemory, readCounters } from "@loden/packet";
import { joinOverlay, type Attachment } from "./join-overlay.ts";
import { OUTER_HEADERS } from "./path-mtu.ts";
import { peerRecords } from "./peer-records.ts";

/** The UDP port of flannel's udp backend, unless the network's configuration says otherwise. */
export const DEFAULT_PORT = 8285;

/** Settings of {@link openUdpBackend}. */
export interface UdpBackendOptions {
  /** Where devices and sockets are opened; by default the calling thread's own network namespace. */
  readonly netns?: Netns | undefined;
  /** The network that carries the datagrams; the socket is bound to this host's IPv4 address on it. */
  readonly underlay: Underlay;
  /** The address that peers send to, where it is not the underlay's (1:1 NAT). */
  readonly publicIP?: Address | undefined;
  /** The UDP port, the same on all hosts. Default 8285. */
  readonly port?: number | undefined;
  /** Name or template of the TUN device. Default `loden%d`. */
  readonly deviceName?: string | undefined;
  /**
   * `strict` accepts datagrams from the published endpoints of peers alone (any port); `any` accepts them from everywhere, as flannel does,
   * for peers that send from another address than they publish. The inner addresses are checked either way. Default `strict`.
   */
  readonly peerSource?: "strict" | "any" | undefined;
  /** The pump's module, for programs that are bundled into one file. */
  readonly workerUrl?: URL | undefined;
}

/** The UDP backend: what every {@link Backend} has, and what is its own. */
export interface UdpBackend extends Backend {
  readonly type: "udp";
  /** The TUN device's name, once it has joined. */
  readonly deviceName: string | undefined;
  /** How often the pump was woken from its sleep; steady while no packets move. */
  readonly wakeups: number;
}

/**
 * Opens flannel's UDP backend: a TUN device whose packets travel, bare, inside UDP datagrams.
 *
 * Packets are moved in a worker, so that they never wait for the control plane. Opening touches nothing yet; `join` makes the
 * device, the socket and the route.
 *
 * @param options the underlay, and what differs from flannel's defaults.
 * @returns the backend; the caller closes it.
 * @throws {RangeError} for an underlay whose MTU can't carry the smallest IPv4 packets, or a port that is none.
 * @throws {TypeError} for an underlay address that is not IPv4.
 */
export function openUdpBackend(options: UdpBackendOptions): UdpBackend {
  const { port = DEFAULT_PORT } = options;
  checkPort(port);
  let { underlay } = options;
  let { mtu, attributes } = follow(underlay, options);
  const memory = createPacketMemory();
  let attachment: Attachment | undefined;
  let joining = false;
  let closed = false;

  async function join(
    { lease, network }: Membership,
    wait: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if (closed) throw new TypeError("Cannot join the overlay: the backend is closed, expected an open one");
    if (joining)
      throw new TypeError("Cannot join the overlay: the backend has joined already, expected the first call");
    joining = true;
    try {
      attachment = await joinOverlay({ ...options, underlay, lease, network, memory, mtu, port }, wait);
    } catch (error) {
      joining = false;
      throw error;
    }
  }

  async function apply(peers: readonly Lease[]): Promise<void> {
    const records = peerRecords(peers, port, (subnet, reason) =>
      publishBackendEvent({ type: "peerSkipped", backend: "udp", subnet, reason }),
    );
    memory.peers.replaceAll(records);
  }

  async function setUnderlay(changed: Underlay): Promise<void> {
    const next = follow(changed, options);
    await attachment?.move(changed, next.mtu);
    underlay = changed;
    const before = mtu;
    if (next.mtu !== before) {
      mtu = next.mtu;
      publishBackendEvent({ type: "mtuChanged", backend: "udp", before, mtu });
    }
    if (next.attributes.publicIP?.equals(attributes.publicIP as Address) !== true) {
      attributes = next.attributes;
      publishBackendEvent({ type: "attributesChanged", backend: "udp", attributes });
    }
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
    get deviceName() {
      return attachment?.deviceName;
    },
    get wakeups() {
      return attachment?.pump.wakeups ?? 0;
    },
    join,
    apply,
    setUnderlay,
    stats,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What follows from an underlay: the tunnel's MTU, and what peers have to know. */
function follow(
  { ipv4, mtu }: Underlay,
  { publicIP = ipv4 }: UdpBackendOptions,
): { readonly mtu: number; readonly attributes: LeaseAttributes } {
  const attempt = "Cannot use the underlay for the udp backend";
  for (const [name, address] of [
    ["its address", ipv4],
    ["the public IP", publicIP],
  ] as const) {
    if (address?.family !== 4)
      throw new TypeError(
        `${attempt}: ${name} is ${address?.toString() ?? "none"}, expected an IPv4 address`,
      );
  }
  if (!Number.isInteger(mtu) || mtu < 68 + OUTER_HEADERS || mtu > 65_535) {
    throw new RangeError(`${attempt}: its MTU is ${mtu}, expected 96 to 65535 bytes`);
  }
  return {
    mtu: mtu - OUTER_HEADERS - createPlainUdpCodec().overhead,
    attributes: { publicIP, backendType: "" },
  };
}

function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RangeError(`Cannot open the udp backend: the port is ${port}, expected 1 to 65535`);
  }
}
