import type { EtcdGrants } from "./etcd-grants.ts";
import type { EtcdTransport } from "./transport/etcd-transport.ts";
import type { LeaseLayout } from "./lease-layout.ts";

/** What every call of a store works with. */
export interface StoreContext {
  readonly transport: EtcdTransport;
  readonly layout: LeaseLayout;
  readonly grants: EtcdGrants;
}
