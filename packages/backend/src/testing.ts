/**
 * A backend in memory, for tests of what drives backends.
 *
 * @example See what a node does to its backend
 * ```ts
 * import assert from "node:assert/strict";
 * import { createMemoryBackend } from "@loden/backend/testing";
 *
 * const backend = createMemoryBackend();
 * await backend.apply([]);
 * assert.deepEqual(backend.calls, ["apply 0"]);
 * ```
 *
 * @module
 */
import { type AddressFamily, parseAddress } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import { publishBackendEvent } from "./backend-event.ts";
import type { Backend, BackendStats, Membership } from "./backend.ts";
import { createPeerReports } from "./peer-reports.ts";
import { listPeerSubnets } from "./peer-subnets.ts";
import type { Underlay } from "./underlay.ts";

/** A backend that moves no packets and remembers what it was told. */
export interface MemoryBackend extends Backend {
  /** Every call so far: `join 10.5.1.0/24`, `apply 2`, `setUnderlay eth0 1400`, `close`. */
  readonly calls: readonly string[];
  /** Where it has joined, if it has. */
  readonly membership: Membership | undefined;
  /** The peers that it was last given and can serve. */
  readonly peers: readonly Lease[];
}

/** What its encapsulation takes, in bytes. */
const OVERHEAD = 28;

/** Settings of {@link createMemoryBackend}. */
export interface MemoryBackendOptions {
  /** What it publishes. Default: `192.0.2.1`, type `""`. */
  readonly attributes?: LeaseAttributes | undefined;
  /** What containers may use on the first underlay; 28 bytes less than a later one's. Default 1472. */
  readonly mtu?: number | undefined;
}

/**
 * Creates a backend in memory, of type `memory`.
 *
 * @param options what it publishes.
 * @returns the backend.
 */
export function createMemoryBackend(options: MemoryBackendOptions = {}): MemoryBackend {
  let { attributes = { publicIP: parseAddress("192.0.2.1"), backendType: "" }, mtu = 1472 } = options;
  const calls: string[] = [];
  let membership: Membership | undefined;
  let given: readonly Lease[] = [];
  let peers: readonly Lease[] = [];
  const report = createPeerReports("memory");
  let closed = false;
  const nothing = { packets: 0, bytes: 0, dropped: {} };

  async function join(wanted: Membership): Promise<void> {
    const attempt = "Cannot join the overlay: the backend";
    if (closed) throw new TypeError(`${attempt} is closed, expected an open one`);
    if (membership !== undefined)
      throw new TypeError(`${attempt} has joined already, expected the first call`);
    membership = wanted;
    serve();
    calls.push(
      `join ${wanted.lease.subnet.ipv4?.toString() ?? wanted.lease.subnet.ipv6?.toString() ?? "nothing"}`,
    );
  }

  async function apply(wanted: readonly Lease[]): Promise<void> {
    given = wanted;
    serve();
    calls.push(`apply ${peers.length}`);
  }

  /** As the other backends, once it has joined; before, it can't know. */
  function serve(): void {
    if (membership === undefined) {
      peers = given;
      return;
    }
    const { backendType } = attributes;
    const outerFamily = (): AddressFamily => (attributes.publicIP === undefined ? 6 : 4);
    const place = { ...membership, lease: { ...membership.lease, attributes } };
    const { subnets, skipped } = listPeerSubnets({
      backendType,
      membership: place,
      peers: given,
      outerFamily,
    });
    peers = [...new Set(subnets.map(({ lease }) => lease))];
    report(skipped);
  }

  async function setUnderlay(underlay: Underlay): Promise<void> {
    calls.push(`setUnderlay ${underlay.link} ${underlay.mtu}`);
    const before = mtu;
    mtu = underlay.mtu - OVERHEAD;
    if (mtu !== before) publishBackendEvent({ type: "mtuChanged", backend: "memory", before, mtu });
    const { ipv4 } = underlay;
    if (ipv4 === undefined || attributes.publicIP?.equals(ipv4) === true) return;
    attributes = { ...attributes, publicIP: ipv4 };
    publishBackendEvent({ type: "attributesChanged", backend: "memory", attributes });
  }

  async function close(): Promise<void> {
    if (!closed) calls.push("close");
    closed = true;
  }

  return {
    type: "memory",
    deviceNames: [],
    get mtu() {
      return mtu;
    },
    get attributes() {
      return attributes;
    },
    calls,
    get membership() {
      return membership;
    },
    get peers() {
      return peers;
    },
    join,
    apply,
    setUnderlay,
    explain: async () => "",
    stats: (): BackendStats => ({
      peers: peers.length,
      outbound: nothing,
      inbound: nothing,
      icmpSent: 0,
      icmpSuppressed: 0,
      restarts: 0,
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}
