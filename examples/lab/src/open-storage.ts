import type { LeaseStore } from "@loden/lease";
import { openEtcdLeaseStore } from "@loden/lease-etcd";
import { findEtcd, startEtcdCluster } from "@loden/lease-etcd/testing";
import { createMemoryLeaseStore, createMemoryStorage } from "@loden/lease-memory";
import { currentNetns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";

/** Where the lab's hosts keep their leases. */
export type StoreName = "memory" | "etcd";

/** A storage that the lab's hosts share. */
export interface Storage extends AsyncDisposable {
  /** Opens a handle on it, as each host has its own. The caller closes it. */
  readonly open: () => LeaseStore;
}

/**
 * Opens a storage that holds the network's configuration and no leases.
 *
 * @param store in memory, or a real etcd that is started on a free port of the loopback device and ended with the lab.
 * @param config the network's configuration, flannel's JSON text.
 * @returns the storage; the caller disposes of it.
 * @throws {Error} when etcd is not installed or does not start.
 */
export async function openStorage(store: StoreName, config: string): Promise<Storage> {
  if (store === "memory") {
    const storage = createMemoryStorage({ config });
    return { open: () => createMemoryLeaseStore(storage), [Symbol.asyncDispose]: async () => {} };
  }
  if (findEtcd() === undefined) {
    throw new Error(
      "Cannot start the lab with --store etcd: etcd is not installed, expected etcd and etcdctl on the PATH; on Debian: apt-get install etcd-server etcd-client",
    );
  }
  await switchLoopbackOn();
  const etcd = await startEtcdCluster();
  await etcd.ctl("put", "/coreos.com/network/config", config);
  return {
    open: () => openEtcdLeaseStore({ endpoints: etcd.endpoints }),
    [Symbol.asyncDispose]: () => etcd[Symbol.asyncDispose](),
  };
}

/** It is off in the namespace that an unprivileged lab runs in; elsewhere it is on, and nothing changes. */
async function switchLoopbackOn(): Promise<void> {
  using netns = currentNetns();
  using rtnetlink = openRtnetlink({ netns });
  const loopback = await rtnetlink.links.get("lo");
  if (loopback?.up === false) await rtnetlink.links.set("lo", { up: true });
}
