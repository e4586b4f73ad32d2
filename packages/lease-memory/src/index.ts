/**
 * A lease store in memory, shared by the nodes of one process: for labs, tests and trying things out. It keeps flannel's
 * key and value text, as the etcd layout does.
 *
 * @example Two nodes of one network
 * ```ts
 * import { parseAddress } from "@loden/ip";
 * import { acquireLease } from "@loden/lease";
 * import { createMemoryLeaseStore, createMemoryStorage } from "@loden/lease-memory";
 * import assert from "node:assert/strict";
 *
 * const storage = createMemoryStorage({ config: '{"Network":"10.5.0.0/16"}' });
 * for (const address of ["192.0.2.1", "192.0.2.2"]) {
 *   const attributes = { publicIP: parseAddress(address), backendType: "" };
 *   await acquireLease(createMemoryLeaseStore(storage), { attributes, strategy: "sequential" });
 * }
 * assert.deepEqual(storage.entries().map((entry) => entry.key), ["10.5.1.0-24", "10.5.2.0-24"]);
 * ```
 *
 * @module
 */
export { createMemoryLeaseStore } from "./memory-lease-store.ts";
export {
  createMemoryStorage,
  type MemoryEntry,
  type MemoryStorage,
  type MemoryStorageOptions,
  type MemoryWriteOptions,
} from "./memory-storage.ts";
