import type { Underlay } from "@loden/backend";
import { type BpfMap, createMap, type MapOptions, readCounters } from "@loden/bpf";
import { type Address, addressFromNumber, Prefix } from "@loden/ip";
import { KernelError, NotSupportedError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink, type RtnetlinkEvent } from "@loden/rtnetlink";
import { createGiveWay } from "../give-way.ts";
import type { PeerRecord } from "../peer-records.ts";
import { attachPrograms } from "./attach-programs.ts";
import { type IpsecPolicies, watchIpsecPolicies } from "./ipsec-policies.ts";
import { createKernelPeers, type KernelPeers } from "./kernel-peers.ts";
import { COUNTER_BYTES, Direction, MOST_IN_ONE, OUTER_BYTES, PeerKey, PeerValue } from "./packet-layout.ts";
import { createPlainPaths, type PlainPaths } from "./plain-paths.ts";
import { reasonAgainst } from "./reason-against.ts";
import { readUnderlayDevice, type UnderlayDevice } from "./underlay-device.ts";

/** What {@link openKernelPath} needs. */
export interface KernelPathOptions {
  readonly netns: Netns | undefined;
  /** The UDP port of the network. */
  readonly port: number;
  /** Name of the TUN device, which is there. */
  readonly tun: string;
  /** This host's subnet, IPv4. */
  readonly subnet: Prefix;
  /** Of the network's subnets, in bits. */
  readonly prefixLength: number;
  /** How many peers there may be. */
  readonly capacity: number;
  /** The IPv4 address that peers send to, where it is not the underlay's. */
  readonly publicIP: Address | undefined;
  /** Called when {@link KernelPath.state} has become another. */
  readonly onChange: () => void;
}

/** What the kernel path does now. */
export type KernelPathState =
  | {
      readonly on: false;
      /** Why every packet goes through the pump, in words. */
      readonly reason: string;
    }
  | {
      readonly on: true;
      /** What this host's kernel takes off: everything, or TCP's bare acknowledgements, where the device gathers datagrams for the pump. */
      readonly decapsulates: "all" | "acks";
      /** For whom it encapsulates: every peer, or `able` ones, which say in their leases what their kernels take off; those get just that. */
      readonly encapsulatesFor: "all" | "able";
    };

/** Packets and bytes. */
export interface KernelCounts {
  readonly packets: number;
  readonly bytes: number;
}

/** Packets that never reach userspace: BPF programs in front of the TUN device. */
export interface KernelPath {
  readonly state: KernelPathState;
  /** Makes these the peers. The tunnel's MTU is in bytes. */
  apply(records: readonly PeerRecord[], mtu: number): void;
  /** Goes on over a changed underlay. */
  setUnderlay(underlay: Underlay): Promise<void>;
  /** A router found a packet to this endpoint too long: the pump takes over, as long as the kernel remembers. */
  narrowed(endpoint: number): void;
  /** What the programs have passed on since they were first there. */
  counts(): { readonly outbound: KernelCounts; readonly inbound: KernelCounts };
  /** Takes the programs away. */
  close(): void;
}

/** Changes come in storms: they are looked at together. */
const SETTLING_MS = 20;
/** A way that was found narrow is looked at again when the kernel has forgotten it (`net.ipv4.route.mtu_expires`, 10 minutes by default). */
const RECHECK_MS = 601_000;
/** So many endpoints beyond twice the peers are remembered: what is gone may come back, as an address that changes to and fro. */
const SPARE_PATHS = 1024;
/** What the kernel refused for want of memory is tried again. */
const RETRY_MS = 10_000;
const NO_COUNTS: KernelCounts = { packets: 0, bytes: 0 };

/**
 * Attaches BPF programs that pass packets on without the pump, as far as the kernel and the underlay allow it, and follows what changes there. It never fails:
 * where it can't be, its state says why, and the pump has all packets.
 *
 * @param options the place. @param underlay the network between hosts.
 * @returns the path, without peers; the caller closes it.
 */
export async function openKernelPath(options: KernelPathOptions, underlay: Underlay): Promise<KernelPath> {
  const { netns, onChange } = options;
  const giveWay = createGiveWay();
  const undo = new DisposableStack();
  let state: KernelPathState = { on: false, reason: "it is being opened" };
  let parts: Parts | undefined;
  let attached: Attached | undefined;
  let records: readonly PeerRecord[] = [];
  /** Endpoints whose ways are being looked up. */
  const resolving = new Set<number>();
  let tunnelMtu = 0;
  let settling = Promise.resolve();
  let closed = false;
  /** Why changes can't be followed any more. */
  let deaf: string | undefined;
  const timers: { [name in "changes" | "recheck" | "retry"]?: NodeJS.Timeout | undefined } = {};
  let counted = { outbound: NO_COUNTS, inbound: NO_COUNTS };

  /** Looks at the underlay, and attaches programs to it or takes them away; once after the other. */
  function settle(): Promise<void> {
    settling = settling.then(async () => {
      if (closed) return;
      try {
        parts ??= open();
        const place = await look(parts);
        if (typeof place === "string") turn({ on: false, reason: place });
        else if (!closed) turn(attach(parts, place));
      } catch (error) {
        giveUp(error);
      }
    });
    return settling;
  }

  /** Leaves all packets to the pump. What a call meets because the path was closed meanwhile is no reason. */
  function giveUp(error: unknown): void {
    if (closed) return;
    turn({ on: false, reason: reasonOf(error) });
    if (isPassing(error)) later("retry", RETRY_MS, () => void settle());
  }

  /** Once, however often it is asked for until then. Keeps no process alive. */
  function later(name: keyof typeof timers, delay: number, work: () => void): void {
    timers[name] ??= setTimeout(() => {
      timers[name] = undefined;
      work();
    }, delay).unref();
  }

  function turn(next: KernelPathState): void {
    if (closed) return;
    if (!next.on) leaveAll();
    const isNews = JSON.stringify(next) !== JSON.stringify(state);
    state = next;
    if (isNews) onChange();
    sync(true);
  }

  function open(): Parts {
    using failed = new DisposableStack();
    const rtnetlink = failed.use(openRtnetlink({ netns }));
    const { capacity } = options;
    const [peers, counters] = [
      { kind: "hash", name: "loden_peers", keyBytes: PeerKey.bytes, valueBytes: PeerValue.bytes, capacity },
      { kind: "perCpuArray", name: "loden_counts", keyBytes: 4, valueBytes: COUNTER_BYTES, capacity: 2 },
    ].map((map) => failed.use(createMap(map as MapOptions))) as [BpfMap, BpfMap];
    const policies = failed.use(watchIpsecPolicies(netns, () => void settle()));
    void follow(rtnetlink);
    undo.use(failed.move());
    return {
      rtnetlink,
      peers,
      counters,
      policies,
      list: createKernelPeers(peers, options.prefixLength, giveWay),
    };
  }

  async function look({ rtnetlink, policies }: Parts): Promise<Place | string> {
    const reason = reasonAgainst({ ...options, underlay });
    if (reason !== undefined) return reason;
    if (deaf !== undefined) return deaf;
    if (policies.any) return "there are IPsec policies, which packets would pass by";
    const device = await readUnderlayDevice(rtnetlink, netns, underlay.link);
    if (typeof device === "string") return device;
    const tun = await rtnetlink.links.get(options.tun);
    if (tun === undefined) return `there is no device ${options.tun}`;
    return { device, tunIndex: tun.index, own: underlay.ipv4 as Address };
  }

  function attach({ peers, counters, rtnetlink }: Parts, place: Place): KernelPathState {
    const { device, own, tunIndex } = place;
    const key = JSON.stringify([device, own.toString(), tunIndex]);
    if (attached?.key !== key) {
      const paths = createPlainPaths(rtnetlink, {
        linkIndex: device.index,
        linkMtu: device.mtu,
        source: own,
        port: options.port,
        giveWay,
      });
      // The new programs first: no packet is to go the other way in between.
      const programs = attachPrograms({ ...options, ...place, peers, counters });
      attached?.programs[Symbol.dispose]();
      attached = { key, programs, paths, device };
    }
    return {
      on: true,
      decapsulates: device.gathers ? "acks" : "all",
      encapsulatesFor: device.finishes ? "all" : "able",
    };
  }

  /** All packets to the pump. */
  function leaveAll(): void {
    attached?.programs[Symbol.dispose]();
    attached = undefined;
    parts?.list.clear();
  }

  /** Writes the peers down whose ways are known, and asks about the others. */
  function sync(changed: boolean): void {
    if (parts === undefined || attached === undefined || closed) return;
    const { paths, device } = attached;
    const mtu = Math.min(tunnelMtu, underlay.mtu - OUTER_BYTES, device.mtu - OUTER_BYTES, MOST_IN_ONE);
    const isPlain = (endpoint: number): boolean | undefined => paths.isPlain(addressFromNumber(endpoint));
    let unknown: readonly number[];
    try {
      unknown = parts.list.apply(records, { mtu, changed, isPlain });
    } catch (error) {
      return giveUp(error);
    }
    if (paths.size > 2 * records.length + SPARE_PATHS)
      paths.keepOnly(new Set(records.map(({ endpointAddress }) => Number(endpointAddress))));
    const asked = unknown.filter((endpoint) => !resolving.has(endpoint));
    if (asked.length > 0) void resolve(paths, asked);
  }

  async function resolve(paths: PlainPaths, endpoints: readonly number[]): Promise<void> {
    for (const endpoint of endpoints) resolving.add(endpoint);
    try {
      await paths.resolve(endpoints.map((endpoint) => addressFromNumber(endpoint)));
    } catch (error) {
      return giveUp(error);
    } finally {
      for (const endpoint of endpoints) resolving.delete(endpoint);
    }
    recheckNarrow(paths, endpoints);
    sync(true);
  }

  function recheckNarrow(paths: PlainPaths, endpoints: readonly number[]): void {
    if (endpoints.every((endpoint) => paths.isPlain(addressFromNumber(endpoint)) !== false)) return;
    later("recheck", RECHECK_MS, () => {
      attached?.paths.forget();
      sync(true);
    });
  }

  async function follow(rtnetlink: Rtnetlink): Promise<void> {
    try {
      for await (const event of rtnetlink.watch(["links", "routes", "rules"])) heed(event);
    } catch (error) {
      if (closed) return;
      deaf = reasonOf(error);
      turn({ on: false, reason: deaf });
    }
  }

  function heed(event: RtnetlinkEvent): void {
    if (event.type === "link") {
      if (event.link.name !== underlay.link) return;
      attached?.paths.forget();
      return void settle();
    }
    if (event.type === "route") {
      if (!concernsPeers(event.route.destination)) return;
      attached?.paths.forget(event.route.destination);
    } else attached?.paths.forget();
    if (event.type === "overrun") void settle();
    else later("changes", SETTLING_MS, () => sync(true));
  }

  function concernsPeers({ address, length }: Prefix): boolean {
    if (address.family !== 4) return false;
    const size = 2 ** (32 - length);
    const base = Math.floor(address.toNumber() / size);
    return records.some(
      ({ endpointAddress }) =>
        typeof endpointAddress === "number" && Math.floor(endpointAddress / size) === base,
    );
  }

  /** Looks it up again, and at all peers only if that makes a difference: anybody can send ICMP errors. */
  async function narrowed(endpoint: number): Promise<void> {
    const { paths } = attached ?? {};
    const address = addressFromNumber(endpoint);
    if (paths?.isPlain(address) !== true) return;
    paths.forget(new Prefix(address, 32));
    try {
      await paths.resolve([address]);
    } catch (error) {
      return giveUp(error);
    }
    recheckNarrow(paths, [endpoint]);
    if (paths.isPlain(address) !== true) sync(true);
  }

  function counts(): { readonly outbound: KernelCounts; readonly inbound: KernelCounts } {
    if (parts !== undefined && !closed)
      counted = { outbound: countsOf(parts, "outbound"), inbound: countsOf(parts, "inbound") };
    return counted;
  }

  await settle();
  return {
    get state() {
      return state;
    },
    apply(wanted, mtu) {
      const changed = mtu !== tunnelMtu;
      records = wanted;
      tunnelMtu = mtu;
      sync(changed);
    },
    setUnderlay(changed) {
      underlay = changed;
      attached?.paths.forget();
      return settle();
    },
    narrowed: (endpoint) => void narrowed(endpoint),
    counts,
    close() {
      if (closed) return;
      counts();
      closed = true;
      for (const timer of Object.values(timers)) clearTimeout(timer);
      // The maps go with the programs.
      attached?.programs[Symbol.dispose]();
      undo.dispose();
    },
  };
}

interface Parts {
  readonly rtnetlink: Rtnetlink;
  readonly peers: BpfMap;
  readonly counters: BpfMap;
  readonly policies: IpsecPolicies;
  readonly list: KernelPeers;
}

/** Where programs can be attached. */
interface Place {
  readonly device: UnderlayDevice;
  readonly tunIndex: number;
  readonly own: Address;
}

interface Attached {
  /** What the programs build on. */
  readonly key: string;
  readonly programs: Disposable;
  readonly paths: PlainPaths;
  readonly device: UnderlayDevice;
}

function countsOf({ counters }: Parts, direction: keyof typeof Direction): KernelCounts {
  const [packets = 0n, bytes = 0n] = readCounters(counters, Direction[direction]);
  return { packets: Number(packets), bytes: Number(bytes) };
}

/** Memory comes back, and so does a device that another is about to replace; rights and abilities don't. */
function isPassing(error: unknown): boolean {
  return error instanceof KernelError && ["ENOBUFS", "ENOMEM", "EAGAIN", "ENODEV"].includes(error.code);
}

function reasonOf(error: unknown): string {
  if (error instanceof KernelError && error.code === "EPERM")
    return `${error.message}, expected CAP_BPF and CAP_NET_ADMIN outside of user namespaces`;
  if (error instanceof KernelError || error instanceof NotSupportedError) return error.message;
  throw error;
}
