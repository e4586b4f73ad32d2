import { readdirSync, readFileSync } from "node:fs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackendEvent } from "@loden/backend";
import { openRtnetlink } from "@loden/rtnetlink";
import { openUdpBackend } from "./index.ts";
import { ping, plainUdpSocket } from "./host-sockets.fixture.ts";
import { network, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

let hosts: TwoHosts;
let a: Host;
let b: Host;

beforeEach(async () => {
  hosts = await openTwoHosts();
  ({ a, b } = hosts);
});

afterEach(() => hosts[Symbol.asyncDispose]());

describe("openUdpBackend() starts and stops", () => {
  test("nothing wakes the pump while nothing moves", async () => {
    // What the kernel sends by itself on a new device would count: there must be none of it either.
    await ping(a, b.inner);
    expect(pumpAccounts()).toHaveLength(2);
    // V8 may still tidy up what a thread's start has left.
    await expect.poll(() => watchForASecond(), { interval: 0 }).toBe("at rest");
  });

  test("a device that somebody deletes is reported, and closing still works", async () => {
    const events: BackendEvent[] = [];
    const listen = (event: unknown): void => void events.push(event as BackendEvent);
    subscribe("loden:backend", listen);
    try {
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const device = a.backend.deviceName ?? "";
      await rtnetlink.links.delete(device);
      await expect.poll(() => events).toEqual([{ type: "deviceLost", backend: "udp", device }]);
      await a.backend.close();
    } finally {
      unsubscribe("loden:backend", listen);
    }
  });

  test("a pump that fails is started again, and says so", async () => {
    await a.backend.close();
    const events: BackendEvent[] = [];
    const listen = (event: unknown): void => void events.push(event as BackendEvent);
    subscribe("loden:backend", listen);
    try {
      // Fails soon after its start, once: the wake-up count tells the first run from the second.
      const source = `
        import { workerData } from "node:worker_threads";
        await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});
        if (Atomics.add(workerData.cells, 1, 100) < 100) setTimeout(() => { throw new Error("on purpose"); }, 50);`;
      const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
      const underlay = { link: "eth0", mtu: 1500, ipv4: a.underlay };
      await using backend = openUdpBackend({ netns: a.netns, underlay, workerUrl, kernelPath: "off" });
      await backend.join({ lease: a.lease, network });
      await backend.apply([b.lease]);
      await expect.poll(() => events).toMatchObject([{ type: "pumpRestarted", restarts: 1 }]);
      await expect.poll(() => ping({ ...a, backend }, b.inner, 500)).toBe(true);
      expect(backend.stats().restarts).toBe(1);
    } finally {
      unsubscribe("loden:backend", listen);
    }
  });

  test("close() leaves nothing behind, and may be called again", async () => {
    await a.backend.close();
    await a.backend.close();
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect((await rtnetlink.links.list()).map((link) => link.name).toSorted()).toEqual(["eth0", "lo"]);
    using socket = plainUdpSocket(a.netns, a.underlay, 8285);
    expect(socket.fd).toBeGreaterThan(0);
  });

  test("close() ends a join() that is under way", async () => {
    await a.backend.close();
    const underlay = { link: "eth0", mtu: 1500, ipv4: a.underlay };
    const backend = openUdpBackend({ netns: a.netns, underlay });
    const joining = backend.join({ lease: a.lease, network });
    await backend.close();
    await expect(joining).rejects.toThrow("the backend was closed meanwhile");
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect((await rtnetlink.links.list()).map((link) => link.name).toSorted()).toEqual(["eth0", "lo"]);
  });

  test("join() removes what it made when the port is taken", async () => {
    const backend = openUdpBackend({
      netns: a.netns,
      underlay: { link: "eth0", mtu: 1500, ipv4: a.underlay },
    });
    await expect(backend.join({ lease: a.lease, network })).rejects.toMatchObject({ code: "EADDRINUSE" });
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect(await rtnetlink.links.get("loden1")).toBeUndefined();
    expect(await ping(a, b.inner)).toBe(true);
  });
});

/** Looks for a second whether the pumps rest; says what they did when they do not. */
async function watchForASecond(): Promise<string> {
  const before = { wakeups: a.backend.wakeups, pumps: pumpAccounts() };
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const wakeups = a.backend.wakeups - before.wakeups;
  const pumps = pumpAccounts().map(({ waits, milliseconds }, i) => ({
    waits: waits - (before.pumps[i]?.waits ?? 0),
    milliseconds: milliseconds - (before.pumps[i]?.milliseconds ?? 0),
  }));
  // The last packet's linger may end after the first look.
  const rest = wakeups <= 1 && pumps.every(({ waits, milliseconds }) => waits <= 3 && milliseconds < 10);
  return rest ? "at rest" : JSON.stringify({ wakeups, pumps });
}

/** What the kernel says of each pump's thread: how often it has gone to sleep, and how long it has run. */
function pumpAccounts(): { waits: number; milliseconds: number }[] {
  const threads = readdirSync("/proc/self/task").map((id) => `/proc/self/task/${id}`);
  const pumps = threads.filter((thread) => readFileSync(`${thread}/comm`, "utf8").trim() === "loden-pump");
  return pumps.map((thread) => ({
    waits: Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`${thread}/status`, "utf8"))?.[1]),
    milliseconds: Number(readFileSync(`${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6,
  }));
}
