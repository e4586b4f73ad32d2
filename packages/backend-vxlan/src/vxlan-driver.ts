import { writeFileSync } from "node:fs";
import {
  createPeerReports,
  type KernelDriver,
  leadsInto,
  leaveOut,
  listPeerSubnets,
  type PeerSubnet,
  type PeerSubnets,
  type Published,
  type Underlay,
  type Wanted,
} from "@loden/backend";
import type { Netns } from "@loden/netns";
import {
  applyState,
  formatStatePlan,
  type KernelState,
  openKernelState,
  openReachability,
  type Reachability,
  type StateEvent,
  type StateFailure,
  type StateObject,
} from "@loden/route";
import type { CallOptions } from "@loden/rtnetlink";
import type { NetworkConfig } from "@loden/subnet";
import { createTrafficCounter, readDeviceCounters, type Traffic } from "./device-traffic.ts";
import { isUnicast } from "./hardware-address.ts";
import { outerFamily, planVteps, type Vtep, vxlanAttributes } from "./plan-vteps.ts";
import { setTxChecksum } from "./set-tx-checksum.ts";
import { type VxlanState, vxlanState } from "./vxlan-state.ts";
import type { VxlanSettings } from "./vxlan-settings.ts";

/** What {@link VxlanDriver} goes by. */
export interface VxlanDriverOptions {
  readonly netns: Netns | undefined;
  readonly settings: VxlanSettings;
  /** Whether devices may leave checksums to those below; `undefined` leaves that as it is. */
  readonly checksumOffload: boolean | undefined;
  /** Hardware addresses by the names of devices; the driver keeps them up to date. */
  readonly macs: Map<string, string>;
}

/** Two changes of a hardware address within this time are somebody who insists. */
const INSISTING_MS = 30_000;

/** What the VXLAN backend makes of the kernel. */
export class VxlanDriver implements KernelDriver {
  readonly type = "vxlan";
  readonly #options: VxlanDriverOptions;
  readonly #state: KernelState;
  readonly #reachability: Reachability;
  readonly traffic: () => Traffic;
  #network: NetworkConfig | undefined;
  /** Whether the kernel refused something the last time, so that it can be had later. */
  #isRefused = false;
  /** When somebody last changed a device's hardware address, by its name. */
  readonly #changedMacs = new Map<string, number>();
  readonly #reportDoubts = createPeerReports("vxlan", "peerDoubtful");

  constructor(options: VxlanDriverOptions) {
    const { netns, settings } = options;
    this.#options = options;
    using undo = new DisposableStack();
    this.#state = undo.use(
      openKernelState({
        netns,
        links: Object.values(settings.deviceNames),
        ownsRoute: (route) => leadsInto(this.#network, route),
        repair: true,
      }),
    );
    this.#reachability = openReachability({ netns });
    this.traffic = createTrafficCounter(Object.values(settings.deviceNames), () => readDeviceCounters(netns));
    undo.move();
  }

  publish(underlay: Underlay): Published {
    const { settings } = this.#options;
    const vteps = this.#vteps(underlay);
    return {
      mtu: Math.min(...vteps.map(({ mtu }) => mtu)),
      attributes: vxlanAttributes(settings, underlay, vteps),
    };
  }

  deviceNames(underlay: Underlay): string[] {
    return this.#vteps(underlay).map(({ device }) => device);
  }

  async program(place: Wanted, wait: CallOptions): Promise<PeerSubnets> {
    const wanted = await this.#want(place, wait);
    const failures = await applyState(this.#state, wanted.state, wait);
    this.#isRefused = failures.length > 0;
    const own = failures.find(({ object }) => object.type === "link" || object.type === "address");
    if (own !== undefined) throw own.error;
    for (const { name } of wanted.state.links ?? []) this.#adjust(name);
    this.#reportDoubts(wanted.doubts);
    return leaveOut(
      wanted.peers,
      (subnet) => failures.find((failure) => concerns(failure, subnet))?.error.message,
    );
  }

  async explain(place: Wanted, wait: CallOptions): Promise<string> {
    const { checksumOffload } = this.#options;
    const { state, peers, doubts } = await this.#want(place, wait);
    const adjustments = (state.links ?? []).flatMap(({ name }) => [
      `sysctl -w net.ipv6.conf.${name.replaceAll(".", "/")}.accept_ra=0`,
      ...(checksumOffload === undefined ? [] : [`ethtool -K ${name} tx ${checksumOffload ? "on" : "off"}`]),
    ]);
    return [
      ...peers.skipped.map(({ subnet, reason }) => `# leaves ${subnet} out: ${reason}\n`),
      ...doubts.map(({ subnet, reason }) => `# doubts ${subnet}: ${reason}\n`),
      formatStatePlan(await this.#state.plan(state, wait)),
      ...adjustments.map((line) => `${line}\n`),
    ].join("");
  }

  async #want({ underlay, peers, ...membership }: Wanted, wait: CallOptions): Promise<VxlanState> {
    const { settings } = this.#options;
    this.#network = membership.network;
    const vteps = this.#vteps(underlay);
    const listed = listPeerSubnets({
      backendType: this.type,
      membership,
      peers,
      outerFamily: (family) => outerFamily(underlay, family),
    });
    const hosts = settings.directRouting ? listed.subnets.map(({ host }) => host) : [];
    const reach = await this.#reachability.reach(hosts, wait);
    return vxlanState({ settings, underlay, vteps, lease: membership.lease, listed, reach });
  }

  watch(signal: AbortSignal): readonly AsyncIterable<unknown>[] {
    return [this.#reachability.watch({ signal }), this.#deviceChanges(this.#state.watch({ signal }))];
  }

  async clear(): Promise<void> {
    await this.#state.clear();
  }

  close(): void {
    this.#state.close();
    this.#reachability.close();
  }

  #vteps(underlay: Underlay): Vtep[] {
    const { settings, macs } = this.#options;
    return planVteps(settings, underlay, (device) => macs.get(device) ?? "");
  }

  /** What a new device has otherwise than the kernel makes it. */
  #adjust(device: string): void {
    const { netns, checksumOffload } = this.#options;
    const write = (): void => writeFileSync(`/proc/sys/net/ipv6/conf/${device}/accept_ra`, "0");
    try {
      if (netns === undefined) write();
      else netns.run(write);
    } catch {
      // A host without IPv6 takes no router's advice either.
    }
    if (checksumOffload !== undefined) setTxChecksum(netns, device, checksumOffload);
  }

  /** Yields when a device is as it should be again, new perhaps, or what was refused is there, and when somebody insists on another hardware address. */
  async *#deviceChanges(events: AsyncIterable<StateEvent>): AsyncGenerator<void> {
    for await (const event of events) {
      if (event.type === "repaired" && (event.object.type === "link" || this.#isRefused)) yield;
      else if (event.type === "changed" && this.#isInsisting(event.object, event.current)) yield;
    }
  }

  /** A first change of a hardware address is undone, and peers need not know; with the second one the device gets its way. */
  #isInsisting(desired: StateObject, current: StateObject): boolean {
    if (desired.type !== "link" || current.type !== "link") return false;
    const { name } = desired.link;
    const { mac } = current.link;
    if (mac === undefined || mac === this.#options.macs.get(name) || !isUnicast(mac)) return false;
    const before = this.#changedMacs.get(name) ?? -INSISTING_MS;
    const now = performance.now();
    this.#changedMacs.set(name, now);
    if (now - before > INSISTING_MS) return false;
    this.#options.macs.set(name, mac);
    return true;
  }
}

/** Whether something that the kernel refused was for a peer's subnet. */
function concerns({ object }: StateFailure, { prefix, host }: PeerSubnet): boolean {
  switch (object.type) {
    case "route":
      return object.route.destination.equals(prefix);
    case "neighbour":
      return object.neighbour.address.equals(prefix.address);
    case "fdb":
      return object.entry.destination?.equals(host) === true;
    case "link":
    case "address":
      return false;
  }
}
