import type { Lease, LeaseAttributes } from "@loden/lease";
import type { NetworkConfig } from "@loden/subnet";
import type { Underlay } from "./underlay.ts";

/** What {@link Backend.join} needs to know about the place that this host takes in the overlay. */
export interface Membership {
  /** This host's lease: its subnet, and what it published. */
  readonly lease: Lease;
  /** The network that the subnet is a part of. */
  readonly network: NetworkConfig;
}

/** Packets and bytes of one direction since the backend was opened. Integers; bytes are those of inner packets. */
export interface DirectionStats {
  /** Packets passed on. */
  readonly packets: number;
  /** Bytes passed on. */
  readonly bytes: number;
  /** Packets dropped, by reason; a reason that never occurred may be absent. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** What a backend has done so far. */
export interface BackendStats {
  /** Peers that the backend programs now. */
  readonly peers: number;
  /** From this host to its peers. Zero where the kernel carries packets without telling. */
  readonly outbound: DirectionStats;
  /** From its peers to this host. */
  readonly inbound: DirectionStats;
  /** ICMP errors that were sent about dropped packets. */
  readonly icmpSent: number;
  /** ICMP errors that the rate limit held back. */
  readonly icmpSuppressed: number;
  /** How often the packet path had to be started again after a failure. */
  readonly restarts: number;
}

/** Options of {@link Backend.close}. */
export interface CloseOptions {
  /**
   * Leave what carries packets without this process: devices, entries and routes of the kernel, as flannel does, so that packets go on until the
   * next process takes them over. A backend whose packets need the process stops all the same. Default false.
   */
  readonly keep?: boolean | undefined;
}

/**
 * How packets reach the peers of an overlay.
 *
 * A backend is opened on an underlay, joins once with this host's lease, and from then on takes the whole set of peers, as often
 * as it changes: desired state goes in, and each `apply` is idempotent.
 */
export interface Backend extends AsyncDisposable {
  /** The `Backend.Type` of the network's configuration that it serves, e.g. `udp`. */
  readonly type: string;
  /** Names of the devices that it has made for the overlay; none before it has joined, and where it needs none. */
  readonly deviceNames: readonly string[];
  /** The MTU that containers may use, in bytes: the underlay's, less the encapsulation. Changes with the underlay. */
  readonly mtu: number;
  /** What to publish in this host's lease, so that peers can reach it. Changes with the underlay; a change is a new object. */
  readonly attributes: LeaseAttributes;
  /**
   * Takes this host's place in the overlay: devices, addresses, routes and sockets.
   *
   * @param membership the lease and the network.
   * @param options `signal` gives up waiting.
   * @throws {TypeError} when it has joined already.
   * @throws {KernelError} as the kernel answers; what was made is removed again.
   */
  join(membership: Membership, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * Makes the given leases the peers, all of them and no others. Leases that the backend can't serve are left out and reported
   * on the diagnostics channel `loden:backend`.
   *
   * @param peers the leases of all other hosts.
   * @param options `signal` gives up waiting.
   */
  apply(peers: readonly Lease[], options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * Takes a changed underlay: another address or MTU, or the interface gone and back. Programs again what depends on it, and keeps
   * the peers. Works before `join` too; with an underlay that did not change it repairs what the kernel forgot. When `mtu` or
   * `attributes` changed, that is published on the diagnostics channel `loden:backend`.
   *
   * @param underlay as it is now.
   * @param options `signal` gives up waiting.
   * @throws {TypeError} or {RangeError} for an underlay that the backend can't work over.
   * @throws {KernelError} as the kernel answers; a later call goes on from there.
   */
  setUnderlay(underlay: Underlay, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * Says what `join` and `apply` would make of the kernel now, as commands that can be typed in, and does nothing.
   *
   * @param membership the lease and the network.
   * @param peers the leases of all other hosts.
   * @param options `signal` gives up waiting.
   * @returns lines; comments begin with `#`.
   */
  explain(
    membership: Membership,
    peers: readonly Lease[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<string>;
  /** Reads the counters; cheap, and without stopping packets. */
  stats(): BackendStats;
  /**
   * Stops packets and removes what `join` made. Again does nothing.
   *
   * @param options `keep` leaves the kernel as it is, for a process that will be back.
   */
  close(options?: CloseOptions): Promise<void>;
}
