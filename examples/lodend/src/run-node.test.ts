import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryBackend, type MemoryBackend } from "@loden/backend/testing";
import { parseAddress, parsePrefix } from "@loden/ip";
import type { LeaseStore } from "@loden/lease";
import { createMemoryLeaseStore, createMemoryStorage, type MemoryStorage } from "@loden/lease-memory";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LodendError } from "./exit/lodend-error.ts";
import type { NodeEvent } from "./node-event.ts";
import { type NodeOptions, runNode } from "./run-node.ts";
import type { UnderlayChange } from "./underlay/watch-underlay.ts";

let folder: string;
let storage: MemoryStorage;
let store: LeaseStore;
let stop: AbortController;
let backends: MemoryBackend[];
let running: Promise<void>;
let heard: NodeEvent[];
let wake: () => void;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lodend-node-"));
  storage = createMemoryStorage({ config: '{"Network":"10.1.0.0/16"}' });
  store = createMemoryLeaseStore(storage);
  stop = new AbortController();
  backends = [];
  heard = [];
  wake = () => undefined;
});

afterEach(async () => {
  stop.abort();
  await running.catch(() => undefined);
  rmSync(folder, { recursive: true });
});

function start(more: Partial<NodeOptions> = {}): void {
  running = runNode({
    store,
    openBackend: () => {
      const backend = createMemoryBackend();
      backends.push(backend);
      return backend;
    },
    subnetFile: join(folder, "subnet.env"),
    onEvent: (event) => {
      heard.push(event);
      wake();
    },
    signal: stop.signal,
    ...more,
  });
  running.catch(() => wake());
}

/** Waits until an event has come so often. */
async function hears<T extends NodeEvent["type"]>(type: T, count = 1): Promise<NodeEvent & { type: T }> {
  for (;;) {
    const found = heard.filter((event): event is NodeEvent & { type: T } => event.type === type);
    if (found.length >= count) return found[count - 1] as NodeEvent & { type: T };
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

function ownKey(): string {
  return storage.entries()[0]?.key ?? "";
}

const stranger = { publicIP: parseAddress("192.0.2.77"), backendType: "" };

describe("runNode()", () => {
  test("acquires, joins, writes subnet.env, follows, and leaves the lease", async () => {
    writeFileSync(join(folder, "subnet.env"), "FLANNEL_SUBNET=10.1.9.1/24\n");
    start({ ipMasq: true });
    await hears("peers");
    expect(readFileSync(join(folder, "subnet.env"), "utf8")).toBe(
      "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.9.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n",
    );
    storage.putLease({ ipv4: parsePrefix("10.1.77.0/24") }, stranger);
    expect(await hears("peers", 2)).toMatchObject({
      count: 1,
      changes: ["peer 10.1.77.0/24 at 192.0.2.77 joined"],
    });
    stop.abort();
    await running;
    expect(backends.map(({ calls }) => calls)).toEqual([
      ["apply 0", "join 10.1.9.0/24", "apply 0", "apply 1", "close"],
    ]);
    expect(storage.entries()).toHaveLength(2);
  });

  test("takes the subnet that the configuration assigns to its host name", async () => {
    const config = { Network: "10.1.0.0/16", Loden: { Assignments: { "host-a": "10.1.8.0/24" } } };
    storage = createMemoryStorage({ config: JSON.stringify(config) });
    start({ store: createMemoryLeaseStore(storage), hostName: "host-a" });
    await hears("joined");
    expect(ownKey()).toBe("10.1.8.0-24");
  });

  test("gives the lease back when asked to, and says when it cannot", async () => {
    start({ releaseOnExit: true });
    await hears("joined");
    stop.abort();
    await running;
    expect(storage.entries()).toEqual([]);

    stop = new AbortController();
    start({ releaseOnExit: true });
    await hears("joined", 2);
    store.release = async () => {
      throw new Error("away");
    };
    stop.abort();
    await running;
    expect(heard.at(-1)).toMatchObject({ type: "releaseFailed", error: new Error("away") });
  });

  test("follows the underlay: the lease says the new address on the same subnet, subnet.env the new MTU", async () => {
    const underlay = { link: "eth0", mtu: 1_300, ipv4: parseAddress("192.0.2.51") };
    const failure = new Error("not yet");
    async function* underlayChanges(signal: AbortSignal): AsyncGenerator<UnderlayChange> {
      const [backend] = backends as [MemoryBackend];
      const setUnderlay = backend.setUnderlay.bind(backend);
      backend.setUnderlay = async () => {
        backend.setUnderlay = setUnderlay;
        throw failure;
      };
      yield { type: "lost", reason: "eth0 is down" };
      yield { type: "changed", underlay };
      await once(signal, "abort");
    }
    start({ underlayChanges });
    await hears("published");
    await hears("mtuChanged");
    expect(heard).toContainEqual({ type: "underlayLost", reason: "eth0 is down" });
    expect(heard).toContainEqual({ type: "retrying", doing: "moving", error: failure });
    expect(heard).toContainEqual({ type: "underlayChanged", underlay });
    expect(heard).toContainEqual({ type: "mtuChanged", before: 1_472, mtu: 1_272 });
    const [entry] = storage.entries();
    expect([storage.entries().length, entry?.lease?.attributes.publicIP?.toString()]).toEqual([
      1,
      "192.0.2.51",
    ]);
    expect(readFileSync(join(folder, "subnet.env"), "utf8")).toContain("FLANNEL_MTU=1272\n");
  });

  test("takes the same subnet again when its lease is deleted, without joining anew", async () => {
    start();
    const first = await hears("acquired");
    await hears("peers");
    storage.delete(ownKey());
    const second = await hears("acquired", 2);
    expect(second.lease.subnet).toEqual(first.lease.subnet);
    await hears("peers", 2);
    expect(backends.map(({ calls }) => calls.filter((call) => call.startsWith("join")))).toHaveLength(1);
  });

  test("yields to another owner at once, takes another subnet and rewrites subnet.env", async () => {
    start();
    const { lease } = await hears("acquired");
    await hears("peers");
    storage.putLease(lease.subnet, stranger);
    const changed = await hears("subnetChanged");
    expect(heard.filter(({ type }) => type === "lost" || type === "fenced").map(({ type }) => type)).toEqual([
      "lost",
      "fenced",
    ]);
    await hears("peers", 2);
    expect(backends.map(({ calls }) => calls.at(-1))).toEqual(["close", "apply 1"]);
    expect(backends[0]?.calls.slice(-2)).toEqual(["apply 0", "close"]);
    const bridge = changed.after.replace(".0/24", ".1/24");
    expect(readFileSync(join(folder, "subnet.env"), "utf8")).toContain(`FLANNEL_SUBNET=${bridge}\n`);
  });

  test("ends after writing subnet.env when a new subnet is a reason to", async () => {
    start({ onSubnetChange: "exit" });
    const { lease } = await hears("acquired");
    await hears("peers");
    storage.putLease(lease.subnet, stranger);
    const error = await running.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LodendError);
    expect([(error as LodendError).exitCode, (error as Error).message]).toEqual([
      8,
      expect.stringMatching(
        /^Cannot go on: this host has 10\.1\.\d+\.0\/24 now, expected 10\.1\.\d+\.0\/24; restart what reads/,
      ),
    ]);
  });

  test.each([false, true])("goes on when the lease is unconfirmed; with fence: %s", async (fence) => {
    const renew = store.renew.bind(store);
    let isAway = true;
    store.renew = async (...words) => {
      if (isAway) throw new Error("away");
      return await renew(...words);
    };
    // The storage keeps the lease for long, the node believes that it has it for a short time.
    const claim = store.claim.bind(store);
    store.claim = async (subnet, attributes, options) => {
      const lease = await claim(subnet, attributes, { ...options, ttlMs: 86_400_000 });
      return { ...lease, expiresAt: Date.now() + 300 };
    };
    start({ fence, ttlMs: 300, marginMs: 200 });
    await hears("peers");
    await hears("unconfirmed");
    if (fence) await hears("fenced");
    storage.putLease({ ipv4: parsePrefix("10.1.77.0/24") }, stranger);
    await hears("peers", 2);
    expect(backends[0]?.calls.at(-1)).toBe(fence ? "apply 0" : "apply 1");
    isAway = false;
    await hears("renewed");
    stop.abort();
    await running;
    expect(backends[0]?.calls.slice(-2)).toEqual(["apply 1", "close"]);
  });

  test("outlives an outage of the store while it has no lease", async () => {
    start();
    await hears("peers");
    const list = store.list.bind(store);
    let outages = 2;
    store.list = async (...words) => {
      if (outages-- > 0) throw new Error("away");
      return await list(...words);
    };
    storage.delete(ownKey());
    expect(await hears("retrying", 2)).toMatchObject({ doing: "acquiring" });
    await hears("acquired", 2);
  });

  test("joins again with the same lease when the device is lost", async () => {
    const lost = Promise.withResolvers<void>();
    const later = new Promise<void>(() => undefined);
    const waits = [lost.promise, later];
    start({
      whenDeviceLost: async (signal) => {
        const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        await Promise.race([waits.shift(), ended]);
      },
    });
    await hears("peers");
    lost.resolve();
    await hears("peers", 2);
    expect(heard.filter(({ type }) => type === "acquired")).toHaveLength(1);
    expect(backends.map(({ calls }) => calls.length)).toEqual([4, 2]);
  });

  test("rejects when the first lease cannot be had, and when joining fails", async () => {
    start({ store: Object.assign(createMemoryLeaseStore(createMemoryStorage({ config: "{" }))) });
    await expect(running).rejects.toThrow(SyntaxError);
    start({
      openBackend: () =>
        Object.assign(createMemoryBackend(), { join: () => Promise.reject(new Error("no device")) }),
    });
    await expect(running).rejects.toThrow("no device");
  });
});
