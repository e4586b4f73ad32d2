import type { Lease, LeaseStore } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";

/**
 * Wraps a store so that nothing is written: what would be is noted, and answered as if it had happened.
 *
 * @param store read, never written; closed with the wrapped one.
 * @returns the store to use instead, and the notes in order.
 */
export function createDryRunStore(store: LeaseStore): {
  readonly store: LeaseStore;
  readonly notes: readonly string[];
} {
  const notes: string[] = [];
  const dry: LeaseStore = {
    supports: store.supports,
    getNetwork: (options) => store.getNetwork(options),
    list: (options) => store.list(options),
    async claim(subnet, attributes, { ttlMs }) {
      notes.push(`claim ${formatSubnet(subnet)}, which is free`);
      return { subnet, attributes, expiresAt: Date.now() + ttlMs, revision: "0" };
    },
    async renew(lease, { ttlMs, attributes = lease.attributes }): Promise<Lease> {
      notes.push(`take over the lease on ${formatSubnet(lease.subnet)}, which is this host's already`);
      const expiresAt = lease.expiresAt === undefined ? undefined : Date.now() + ttlMs;
      return { ...lease, attributes, expiresAt };
    },
    async release(lease) {
      notes.push(
        `release the lease on ${formatSubnet(lease.subnet)}, which does not fit the network any more`,
      );
    },
    watch: (options) => store.watch(options),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
  return { store: dry, notes };
}
