import { expect, test } from "vitest";
import { conformanceConfig, type ConformanceContext, leaseStoreConformance } from "../conformance.ts";
import { createFakeLeaseStore } from "./fake-lease-store.ts";
import { ManualClock } from "./manual-clock.ts";

test.for(leaseStoreConformance)("fake store: $title", async ({ requires, run }, { skip }) => {
  const { supports } = createFakeLeaseStore();
  const missing = requires.find((member) => !supports[member]);
  if (missing !== undefined) skip(`it does not support ${missing}`);
  await expect(run(createContext())).resolves.toBeUndefined();
});

function createContext(): ConformanceContext {
  const clock = new ManualClock();
  const store = createFakeLeaseStore({ config: conformanceConfig, clock });
  return {
    ttlMs: 60_000,
    open: async () => store.open(),
    elapse: (ms) => clock.advance(ms),
    put: async (subnet, attributes, ttlMs) => void store.put(subnet, attributes, ttlMs),
    remove: async (subnet) => store.remove(subnet),
    putText: () => Promise.reject(new Error("Cannot write text: it holds none")),
  };
}
