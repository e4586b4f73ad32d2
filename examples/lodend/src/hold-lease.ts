import type { Backend } from "@loden/backend";
import {
  followLeases,
  keepLease,
  type Lease,
  type LeaseAttributes,
  type LeaseChange,
  sameAttributes,
} from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { backendChanges } from "./backend-changes.ts";
import { followUnderlay } from "./follow-underlay.ts";
import type { NodeOptions } from "./run-node.ts";

/** Why holding ended: the lease is another's or nobody's, or the lease is fine and the device is gone. */
export type HoldOutcome = "lost" | "deviceLost";

/** What {@link holdLease} tells. */
export interface HoldListener {
  /** The lease was renewed. */
  onRenewed(lease: Lease): void;
  /** The backend's MTU may have changed. */
  onMtu(): void;
}

/**
 * Keeps the lease, follows the others and the interface between hosts, until the lease or the device is lost or the node stops. What the backend
 * wants peers to know is published again whenever it changes.
 *
 * @param options the node's.
 * @param backend has joined; takes the peers.
 * @param held the lease, and until when it is valid where that is known, as `acquireLease` gives both.
 * @param listener told of renewals and changes.
 * @returns what was lost.
 * @throws {Error} what the backend throws, and `signal.reason` when the node stops.
 */
export async function holdLease(
  options: NodeOptions,
  backend: Backend,
  held: { readonly lease: Lease; readonly validUntil: number | undefined },
  listener: HoldListener,
): Promise<HoldOutcome> {
  const { store, onEvent, fence = false } = options;
  const { lease, validUntil } = held;
  let outcome: HoldOutcome = "lost";
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const gate = openGate(backend, () => onEvent?.({ type: "fenced" }));

  async function keep(): Promise<void> {
    const { ttlMs, marginMs } = options;
    const attributes = attributesOf(backend, signal);
    let published = lease.attributes;
    for await (const event of keepLease(store, lease, { ttlMs, marginMs, validUntil, attributes, signal })) {
      switch (event.type) {
        case "renewed":
          listener.onRenewed(event.lease);
          onEvent?.({ type: "renewed", lease: event.lease });
          if (!sameAttributes(published, event.lease.attributes))
            onEvent?.({ type: "published", lease: event.lease });
          published = event.lease.attributes;
          await gate.open();
          break;
        case "retrying":
          onEvent?.({ type: "retrying", doing: "renewing", error: event.error });
          break;
        case "expired":
          onEvent?.({ type: "unconfirmed" });
          if (fence) await gate.close();
          break;
        case "lost":
        case "conflict":
          ended.abort();
          onEvent?.({ type: "lost", reason: event.error.message });
          // Another owner is certain after a conflict: this host yields at once.
          if (fence || event.type === "conflict") await gate.close();
          return;
      }
    }
  }

  async function follow(): Promise<void> {
    for await (const { peers, changes } of followLeases(store, { own: lease, signal })) {
      await gate.apply(peers);
      onEvent?.({ type: "peers", count: peers.length, peers, changes: changes.map(describeChange) });
    }
  }

  async function watchDevice(): Promise<void> {
    if (options.whenDeviceLost === undefined) return;
    await options.whenDeviceLost(signal);
    if (signal.aborted) return;
    outcome = "deviceLost";
    ended.abort();
  }

  async function watchMtu(): Promise<void> {
    for await (const _ of backendChanges(signal)) listener.onMtu();
  }

  await Promise.all(
    [keep(), follow(), watchDevice(), watchMtu(), followUnderlay(options, backend, signal)].map((task) =>
      task.catch((error: unknown) => {
        if (ended.signal.aborted) return;
        ended.abort();
        throw error;
      }),
    ),
  );
  return outcome;
}

async function* attributesOf(backend: Backend, signal: AbortSignal): AsyncGenerator<LeaseAttributes> {
  for await (const _ of backendChanges(signal)) yield backend.attributes;
}

interface Gate {
  apply(peers: readonly Lease[]): Promise<void>;
  /** No peers until it opens again. */
  close(): Promise<void>;
  /** The peers as last applied; does nothing to a gate that is open. */
  open(): Promise<void>;
}

/** Stands before the backend: while it is closed, packets have no peers to go to. */
function openGate(backend: Backend, onClose: () => void): Gate {
  let latest: readonly Lease[] = [];
  let isOpen = true;
  return {
    async apply(peers) {
      latest = peers;
      if (isOpen) await backend.apply(peers);
    },
    async close() {
      isOpen = false;
      await backend.apply([]);
      onClose();
    },
    async open() {
      if (isOpen) return;
      isOpen = true;
      await backend.apply(latest);
    },
  };
}

function describeChange(change: LeaseChange): string {
  const { subnet, attributes } = change.lease;
  const where = `${formatSubnet(subnet)} at ${(attributes.publicIP ?? attributes.publicIPv6)?.toString() ?? "no address"}`;
  if (change.type === "added") return `peer ${where} joined`;
  if (change.type === "removed") return `peer ${where} left`;
  return `peer ${where} changed what it publishes`;
}
