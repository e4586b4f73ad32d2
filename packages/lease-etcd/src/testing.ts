/**
 * A real etcd for tests and labs, started and ended by them.
 *
 * @example Where etcd is not installed, say so
 * ```ts
 * import { findEtcd, startEtcdCluster } from "@loden/lease-etcd/testing";
 * import assert from "node:assert/strict";
 *
 * if (findEtcd() === undefined) await assert.rejects(startEtcdCluster(), /not installed/);
 * ```
 *
 * @module
 */
export type { EtcdProcess } from "./testing/etcd-process.ts";
export { findEtcd } from "./testing/find-etcd.ts";
export { type EtcdCluster, type EtcdClusterOptions, startEtcdCluster } from "./testing/start-etcd-cluster.ts";
export { startTcpProxy, type TcpProxy } from "./testing/start-tcp-proxy.ts";
