import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { expect, test } from "vitest";
import { backendConformance } from "./conformance.ts";
import { parseAddress } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { publishBackendEvent, type Backend, type BackendEvent, type Underlay } from "./index.ts";
import { createMemoryBackend } from "./testing.ts";

const underlay: Underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
const moved: Underlay = { link: "eth0", mtu: 1400, ipv4: parseAddress("192.0.2.51") };

test.for(backendConformance)("memory backend: $title", async ({ run }) => {
  await expect(run({ open: async () => createMemoryBackend(), underlay, moved })).resolves.toBeUndefined();
});

test("the conformance cases find a backend that keeps peers it was told to forget", async () => {
  const outcomes = await Promise.allSettled(
    backendConformance.map(({ run }) => run({ open: openHoarder, underlay, moved })),
  );
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
