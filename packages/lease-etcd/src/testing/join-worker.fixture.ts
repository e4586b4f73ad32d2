import { acquireLease } from "@loden/lease";
import { parentPort, workerData } from "node:worker_threads";
import { openEtcdLeaseStore } from "../index.ts";
import { hostAttributes } from "./host-attributes.fixture.ts";
import type { JoinPlan } from "./start-join-threads.fixture.ts";

// One thread of `startJoinThreads`: when it is told to, it lets one host after the other join, some at a time.
const { endpoints, hosts, taken, concurrency, connections, ...times } = workerData as JoinPlan;
const stores = Array.from({ length: connections }, () =>
  openEtcdLeaseStore({ endpoints, callTimeoutMs: times.callTimeoutMs }),
);

parentPort?.once("message", () => {
  void Promise.all(Array.from({ length: concurrency }, joinSome)).then(async () => {
    await Promise.all(stores.map((store) => store.close()));
    parentPort?.postMessage("joined");
  });
});
parentPort?.postMessage("ready");

async function joinSome(): Promise<void> {
  for (let host = Atomics.add(taken, 0, 1); host < hosts; host = Atomics.add(taken, 0, 1)) {
    const store = stores[host % connections];
    if (store !== undefined) {
      await acquireLease(store, { attributes: hostAttributes(host), ttlMs: times.ttlMs });
    }
  }
}
