import type { Backend } from "@loden/backend";
import { followLeases, keepLease, type Lease, type LeaseChange } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import type { NodeOptions } from "./run-node.ts";

/** Why holding ended: the lease is another's or nobody's, or the lease is fine and the device is gone. */
export type HoldOutcome = "lost" | "deviceLost";

/**
 * Keeps the lease and follows the others, until the lease or the device is lost or the node stops.
 *
 * @param options the node's.
 * @param backend has joined; takes the peers.
 * @param held the lease, and until when it is valid where that is known, as `acquireLease` gives both.
 * @param onRenewed told of the lease at each renewal.
 * @returns what was lost.
 * @throws {Error} what the backend throws, and `signal.reason` when the node stops.
 */
export async function holdLease(
  options: NodeOptions,
  backend: Backend,
  held: { readonly lease: Lease; readonly validUntil: number | undefined },
  onRenewed: (lease: Lease) => void,
): Promise<HoldOutcome> {
  const { store, onEvent, fence = false } = options;
  const { lease, validUntil } = held;
  let outcome: HoldOutcome = "lost";
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const gate = openGate(backend, () => onEvent?.({ type: "fenced" }));

  async function keep(): Promise<void> {
    const { ttlMs, marginMs } = options;
    for await (const event of keepLease(store, lease, { ttlMs, marginMs, validUntil, signal })) {
      switch (event.type) {
        case "renewed":
          onRenewed(event.lease);
          onEvent?.({ type: "renewed", lease: event.lease });
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

  await Promise.all(
    [keep(), follow(), watchDevice()].map((task) =>
      task.catch((error: unknown) => {
        if (ended.signal.aborted) return;
        ended.abort();
        throw error;
      }),
    ),
  );
  return outcome;
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
