import { findEtcd } from "@loden/lease-etcd/testing";

/** Whether tests over a real etcd are left out: it is not installed. In CI, what cannot be run has to fail. */
export const lacksEtcd: boolean = findEtcd() === undefined && process.env["CI"] !== "true";
