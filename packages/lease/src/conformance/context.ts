import { parseAddress, parsePrefix } from "@loden/ip";
import type { Subnet } from "@loden/subnet";
import type { LeaseAttributes } from "../lease.ts";
import type { LeaseStore, LeaseStoreSupports } from "../lease-store.ts";

/** One thing that a store must do. */
export interface ConformanceCase {
  /** `symbol() does X when Y`. */
  readonly title: string;
  /** The members of `supports` without which it does not apply. */
  readonly requires: readonly (keyof LeaseStoreSupports)[];
  /**
   * Runs it; rejects with an AssertionError when the store does not do it. A store that hangs makes it hang: use the
   * runner's time limit.
   */
  readonly run: (context: ConformanceContext) => Promise<void>;
}

/** What a case needs: stores on one fresh storage, and the hand of somebody who writes there without asking. */
export interface ConformanceContext {
  /** Opens a further handle on the storage, as another host would. The case closes it. */
  open(): Promise<LeaseStore>;
  /** A time to live that the store keeps, in milliseconds; short where time cannot be moved. */
  readonly ttlMs: number;
  /** Lets time pass for the store, in milliseconds. */
  elapse(ms: number): Promise<void>;
  /**
   * Writes a lease whatever is there, as a flannel host does when it renews.
   * Without `ttlMs` it is a reservation; only cases that require `reservations` leave it out.
   */
  put(subnet: Subnet, attributes: LeaseAttributes, ttlMs?: number): Promise<void>;
  /** Deletes a lease whatever is there, as an operator does. */
  remove(subnet: Subnet): Promise<void>;
  /** Writes any text under any key beside the leases. Only cases that require `flannelText` call it. */
  putText(key: string, value: string): Promise<void>;
}

/** The network configuration that the storage must hold, as flannel's JSON text. */
export const conformanceConfig =
  '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"udp"}}';

/** The n-th subnet of the network, n from 1 to 255. */
export function subnetAt(n: number): Subnet {
  return {
    ipv4: parsePrefix(`10.5.${n}.0/24`),
    ipv6: parsePrefix(`fd00:5:0:${n.toString(16)}::/64`),
  };
}

/** What the n-th host publishes. */
export function attributesOf(n: number): LeaseAttributes {
  return {
    publicIP: parseAddress(`192.0.2.${n}`),
    publicIPv6: parseAddress(`2001:db8::${n.toString(16)}`),
    backendType: "vxlan",
    backendData: { VNI: 1, VtepMAC: `c6:d2:32:6f:8f:${n.toString(16).padStart(2, "0")}` },
  };
}

/** Opens two stores, as two hosts would, and closes them whatever happens. */
export async function withStores(
  context: ConformanceContext,
  use: (store: LeaseStore, other: LeaseStore) => Promise<void>,
): Promise<void> {
  const [store, other] = await Promise.all([context.open(), context.open()]);
  try {
    await use(store, other);
  } finally {
    await Promise.all([store.close(), other.close()]);
  }
}
