/**
 * A lease store over etcd, in the layout that flannel hosts share: a Loden host and a flannel host can be members of one
 * network.
 *
 * @example Where etcd cannot be reached
 * ```ts
 * import { openEtcdLeaseStore } from "@loden/lease-etcd";
 * import assert from "node:assert/strict";
 *
 * await using store = openEtcdLeaseStore({ endpoints: ["http://127.0.0.1:1"], callTimeoutMs: 100 });
 * await assert.rejects(store.list(), { code: "ERR_STORE_UNAVAILABLE" });
 * ```
 *
 * @module
 */
export {
  EtcdStatusError,
  NetworkConfigMissingError,
  StoreDeniedError,
  StoreUnavailableError,
} from "./etcd-errors.ts";
export type {
  EtcdMember,
  EtcdMethod,
  EtcdTls,
  MemberCallOptions,
  MemberWatch,
} from "./transport/etcd-member.ts";
export { type EtcdLeaseStoreOptions, openEtcdLeaseStore } from "./open-etcd-lease-store.ts";
