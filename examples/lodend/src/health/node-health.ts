import type { Underlay } from "@loden/backend";
import type { Lease } from "@loden/lease";
import { formatObject, type StateObject } from "@loden/route";
import { networksOf } from "../control/run-record.ts";
import type { LogFields } from "../log/logger.ts";
import type { NodeEvent } from "../node-event.ts";
import type { NodeState } from "../run-node.ts";
import type { NetworkChange } from "../store/explain-network-change.ts";
import type { StoreObservations } from "../store/observe-store.ts";

/** How this host's lease is: none yet, the store confirms it, its time ran out unanswered, or it is gone. */
export type LeaseState = "none" | "held" | "unconfirmed" | "lost";

/**
 * What is known of a running daemon: fed by what happens, asked by probes, metrics and `status`. Dispatches `change` whenever that may change an answer.
 */
export class NodeHealth extends EventTarget {
  /** When the daemon started, in milliseconds since 1970. */
  readonly startedAt: number = Date.now();
  /** The interface between hosts, once it is chosen, as it is now. */
  underlay: Underlay | undefined;
  /** Why the interface can't carry packets, when it can't. */
  underlayLost: string | undefined;
  /** What the store was asked, once it is open. */
  store: StoreObservations | undefined;
  /** What the node holds, once it has joined. */
  node: NodeState | undefined;
  /** The peers as last followed. */
  peers: readonly Lease[] = [];
  leaseState: LeaseState = "none";
  /** What waits at the start. */
  waiting: string | undefined;
  /** Whether the firewall's rules are wanted and in place. */
  firewall: { readonly isWanted: boolean; readonly error: Error | undefined; readonly isApplied: boolean } = {
    isWanted: true,
    error: undefined,
    isApplied: false,
  };
  /** Datagrams of containers that would have passed for a host's, as last counted. */
  forged: { readonly packets: number; readonly bytes: number } = { packets: 0, bytes: 0 };
  /** How the network's configuration differs from the one by which the host runs. */
  networkChanges: readonly NetworkChange[] = [];
  /** Why the configuration in the store cannot be read any more. */
  networkError: Error | undefined;
  /** The device was deleted by somebody else. */
  isDeviceLost = false;
  isFenced = false;
  isStopping = false;
  readonly counts: Record<
    "renewals" | "renewalFailures" | "losses" | "subnetChanges" | "underlayChanges" | "firewallErrors",
    number
  > = {
    renewals: 0,
    renewalFailures: 0,
    losses: 0,
    subnetChanges: 0,
    underlayChanges: 0,
    firewallErrors: 0,
  };
  /** What the libraries reported, by area and type. */
  readonly events: Map<string, number> = new Map();
  #followsPeers = false;
  /** What the kernel lacks of what it should hold, in words, and why. */
  readonly #missing = new Map<string, { readonly object: StateObject; readonly why: string }>();

  /**
   * Sets what is known by now.
   *
   * @param facts the members that are different.
   */
  set(facts: Partial<Pick<NodeHealth, "underlay" | "node" | "waiting" | "firewall" | "isStopping">>): void {
    Object.assign(this, facts);
    this.dispatchEvent(new Event("change"));
  }

  /** Takes what happened to the node. */
  onEvent(event: NodeEvent): void {
    this.#take(event);
    this.dispatchEvent(new Event("change"));
  }

  #take(event: NodeEvent): void {
    switch (event.type) {
      case "acquired":
        this.leaseState = "held";
        this.isFenced = false;
        break;
      case "renewed":
        this.leaseState = "held";
        this.isFenced = false;
        this.counts.renewals += 1;
        break;
      case "retrying":
        if (event.doing !== "moving") this.counts.renewalFailures += 1;
        break;
      case "unconfirmed":
        this.leaseState = "unconfirmed";
        break;
      case "fenced":
        this.isFenced = true;
        break;
      case "lost":
        this.leaseState = "lost";
        this.counts.losses += 1;
        break;
      case "subnetChanged":
        this.counts.subnetChanges += 1;
        break;
      case "peers":
        this.peers = event.peers;
        this.#followsPeers = true;
        // They were just applied: what is left of what was missing was told as an error.
        for (const [words, { object }] of this.#missing)
          if (!this.#isWholeNetwork(object)) this.#missing.delete(words);
        break;
      case "joined":
        this.isDeviceLost = false;
        this.#missing.clear();
        break;
      case "underlayLost":
        this.underlayLost = event.reason;
        this.counts.underlayChanges += 1;
        break;
      case "underlayChanged":
        this.underlay = event.underlay;
        this.underlayLost = undefined;
        this.counts.underlayChanges += 1;
        break;
      case "published":
      case "mtuChanged":
      case "releaseFailed":
    }
  }

  /** Takes what a library published. */
  onDiagnostic(area: string, type: string, fields: LogFields = {}): void {
    const key = `${area} ${type}`;
    this.events.set(key, (this.events.get(key) ?? 0) + 1);
    if (key === "backend deviceLost") this.isDeviceLost = true;
    if (area === "route" && fields["object"] !== undefined) {
      this.#takeObject(type, fields as { object: StateObject; other?: StateObject; error?: Error });
    }
    this.dispatchEvent(new Event("change"));
  }

  #takeObject(type: string, fields: { object: StateObject; other?: StateObject; error?: Error }): void {
    const { object, other, error } = fields;
    const words = formatObject(object);
    if (type === "repaired") this.#missing.delete(words);
    else if (type === "conflict" && other !== undefined)
      this.#missing.set(words, { object, why: `${formatObject(other)} is in its place; remove that one` });
    else if (type === "failed" && error !== undefined)
      this.#missing.set(words, { object, why: error.message });
  }

  /** Without it, nothing reaches any peer. */
  #isWholeNetwork(object: StateObject): boolean {
    const networks = this.node === undefined ? [] : networksOf(this.node.network);
    return object.type === "route" && networks.includes(object.route.destination.toString());
  }

  #missingLines(isWholeNetwork: boolean): string[] {
    return [...this.#missing]
      .filter(([, { object }]) => this.#isWholeNetwork(object) === isWholeNetwork)
      .map(([words, { why }]) => `${words} is missing: ${why}`);
  }

  /** @returns what is in the way of packets between this host's containers and the others', in words; none when ready. */
  problems(): string[] {
    const { leaseState, firewall, node } = this;
    const problems: string[] = [];
    if (this.isStopping) problems.push("it is stopping");
    if (node === undefined) problems.push(this.waiting ?? "it has not joined yet");
    if (leaseState === "unconfirmed")
      problems.push("the lease's time ran out and the store does not confirm it");
    if (leaseState === "lost") problems.push("the lease is lost, and no other is acquired yet");
    if (this.isFenced) problems.push("packets are stopped until the lease is confirmed");
    if (this.isDeviceLost) problems.push("somebody deleted the device; joining again");
    if (this.underlayLost !== undefined) problems.push(this.underlayLost);
    if (node !== undefined && !this.#followsPeers) problems.push("the peers are not known yet");
    problems.push(...this.#missingLines(true));
    if (node !== undefined && firewall.isWanted && !firewall.isApplied) {
      problems.push(`the firewall's rules are not in place: ${firewall.error?.message ?? "not applied yet"}`);
    }
    return problems;
  }

  /** @returns what an operator should look at although packets go on. */
  warnings(): string[] {
    const warnings: string[] = [];
    const { error, isWanted } = this.firewall;
    if (error !== undefined && !isWanted) warnings.push(`the firewall: ${error.message}`);
    if (this.store?.outage !== undefined) warnings.push(`the store: ${this.store.outage.message}`);
    warnings.push(...this.#missingLines(false));
    if (this.networkError !== undefined)
      warnings.push(`the network's configuration: ${this.networkError.message}`);
    for (const { what, effect } of this.networkChanges)
      warnings.push(`the network's configuration changed: ${what}; ${effect}`);
    return warnings;
  }
}
