import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { expect, test } from "vitest";
import { backendConformance } from "./conformance.ts";
import type { Lease } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { publishBackendEvent, type Backend, type BackendEvent } from "./index.ts";
import { createMemoryBackend } from "./testing.ts";

test.for(backendConformance)("memory backend: $title", async ({ run }) => {
  await expect(run({ open: async () => createMemoryBackend() })).resolves.toBeUndefined();
});

test("the conformance cases find a backend that keeps peers it was told to forget", async () => {
  const outcomes = await Promise.allSettled(backendConformance.map(({ run }) => run({ open: openHoarder })));
  expect(outcomes.some(({ status }) => status === "rejected")).toBe(true);
});

test("publishBackendEvent() reaches the subscribers of loden:backend", () => {
  const event: BackendEvent = { type: "deviceLost", backend: "udp", device: "loden0" };
  const seen: unknown[] = [];
  const listen = (message: unknown): void => void seen.push(message);
  publishBackendEvent(event);
  subscribe("loden:backend", listen);
  publishBackendEvent(event);
  unsubscribe("loden:backend", listen);
  expect(seen).toEqual([event]);
});

/** Keeps every peer that it was ever told of. */
async function openHoarder(): Promise<Backend> {
  const backend = createMemoryBackend();
  const all = new Map<string, Lease>();
  return {
    ...backend,
    stats: () => backend.stats(),
    apply: async (peers) => {
      for (const peer of peers) all.set(formatSubnet(peer.subnet), peer);
      await backend.apply([...all.values()]);
    },
  };
}
