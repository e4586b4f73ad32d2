import { spawnSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackendEvent } from "@loden/backend";
import { openRtnetlink } from "@loden/rtnetlink";
import { openUdpBackend } from "./index.ts";
import { network, openTwoHosts, ping, plainUdpSocket, type Host, type TwoHosts } from "./two-hosts.ts";

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
    const before = a.backend.wakeups;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(a.backend.wakeups - before).toBeLessThanOrEqual(1);
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

  test("a process that ends while packets move ends cleanly", async () => {
    await a.backend.close();
    const script = `
      import { openUdpBackend } from "@loden/backend-udp";
      import { parseAddress, parsePrefix } from "@loden/ip";
      import { parseNetworkConfig } from "@loden/subnet";
      import { createSocket } from "node:dgram";
      const backend = openUdpBackend({ underlay: { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") } });
      const lease = { subnet: { ipv4: parsePrefix("10.5.1.0/24") }, attributes: backend.attributes, revision: "1" };
      await backend.join({ lease, network: parseNetworkConfig('{"Network":"10.5.0.0/16"}') });
      const socket = createSocket("udp4");
      // The socket's own garbage keeps the pump busy until the very end.
      const flood = () => { for (let i = 0; i < 10; i++) socket.send("x", 8285, "192.0.2.1"); setImmediate(flood); };
      flood();
      setTimeout(() => { if (process.argv[1] === "throw") throw new Error("on purpose"); process.exit(7); }, 300);`;
    const run = (how: string): ReturnType<typeof spawnSync> => {
      const args = ["--conditions=@loden/source", "--input-type=module", "-e", script, how];
      const cwd = fileURLToPath(new URL("..", import.meta.url));
      return a.netns.run(() => spawnSync(process.execPath, args, { encoding: "utf8", cwd, timeout: 20_000 }));
    };
    for (let i = 0; i < 3; i++) expect(run("exit")).toMatchObject({ status: 7, signal: null, stderr: "" });
    expect(run("throw")).toMatchObject({ status: 1, signal: null });
  });

  test("a pump that fails is started again, and says so", async () => {
    await a.backend.close();
    const events: BackendEvent[] = [];
    const listen = (event: unknown): void => void events.push(event as BackendEvent);
    subscribe("loden:backend", listen);
    try {
      // Fails half a second after its start, once: the wake-up count tells the first run from the second.
      const source = `
        import { workerData } from "node:worker_threads";
        await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});
        if (Atomics.compareExchange(workerData.cells, 1, 1, 100) === 1) setTimeout(() => { throw new Error("on purpose"); }, 50);`;
      const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
      const underlay = { link: "eth0", mtu: 1500, ipv4: a.underlay };
      await using backend = openUdpBackend({ netns: a.netns, underlay, workerUrl });
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

  test("a hundred backends open, join and close", { timeout: 180_000 }, async () => {
    await a.backend.close();
    for (let i = 0; i < 100; i++) {
      await using backend = openUdpBackend({
        netns: a.netns,
        underlay: { link: "eth0", mtu: 1500, ipv4: a.underlay },
      });
      await backend.join({ lease: a.lease, network });
    }
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect((await rtnetlink.links.list()).map((link) => link.name).toSorted()).toEqual(["eth0", "lo"]);
  });
});
