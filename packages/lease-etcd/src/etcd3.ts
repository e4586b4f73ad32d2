/**
 * The client etcd3 as the connection to a member, in place of the HTTP/2 connection of this package. It has to be installed beside it.
 *
 * @example
 * ```ts
 * import { openEtcdLeaseStore } from "@loden/lease-etcd";
 * import { openEtcd3Member } from "@loden/lease-etcd/etcd3";
 * import assert from "node:assert/strict";
 *
 * const endpoints = ["http://127.0.0.1:1"];
 * await using store = openEtcdLeaseStore({ endpoints, openMember: openEtcd3Member, callTimeoutMs: 100 });
 * await assert.rejects(store.list(), { code: "ERR_STORE_UNAVAILABLE" });
 * ```
 *
 * @module
 */
export { openEtcd3Member } from "./transport/open-etcd3-member.ts";
