import { conformanceConfig, type ConformanceContext, leaseStoreConformance } from "@loden/lease/conformance";
import { ManualClock } from "@loden/lease/testing";
import { expect, test } from "vitest";
import { createMemoryLeaseStore, createMemoryStorage } from "./index.ts";

test.for(leaseStoreConformance)("memory store: $title", async ({ requires, run }, { skip }) => {
  const { supports } = createMemoryLeaseStore(createMemoryStorage({ config: conformanceConfig }));
  const missing = requires.find((member) => !supports[member]);
  if (missing !== undefined) skip(`it does not support ${missing}`);
  await expect(run(createContext())).resolves.toBeUndefined();
});

function createContext(): ConformanceContext {
  const clock = new ManualClock();
  const storage = createMemoryStorage({ config: conformanceConfig, clock });
  return {
    ttlMs: 60_000,
    open: async () => createMemoryLeaseStore(storage),
    elapse: (ms) => clock.advance(ms),
    put: async (subnet, attributes, ttlMs) => void storage.putLease(subnet, attributes, { ttlMs }),
    remove: async (subnet) => void storage.delete(storage.get(subnet)?.key ?? ""),
    putText: async (key, value) => void storage.putText(key, value),
  };
}
