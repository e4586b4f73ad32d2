import { expect, test } from "vitest";
import { conformanceConfig, type ConformanceContext, leaseStoreConformance } from "../conformance.ts";
import { createFakeLeaseStore } from "./fake-lease-store.ts";
import { ManualClock } from "./manual-clock.ts";

const { supports } = createFakeLeaseStore();
const cases = leaseStoreConformance.filter(({ requires }) => requires.every((member) => supports[member]));

test.for(cases)("fake store: $title", async ({ run }) => {
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
