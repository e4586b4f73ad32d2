import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackendEvent } from "@loden/backend";
import { encodeSocketAddress, sendTo } from "@loden/linux";
import { ping, plainUdpSocket } from "./host-sockets.fixture.ts";
import { openUdpBackend } from "./index.ts";
import { network, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

let hosts: TwoHosts;
let a: Host;
let b: Host;

beforeEach(async () => {
  hosts = await openTwoHosts();
  ({ a, b } = hosts);
});

afterEach(() => hosts[Symbol.asyncDispose]());

/** How a pump fails, once: the count of its wake-ups tells the first run from the second. */
const failures = {
  "in the middle of a batch": `
    const { Instance } = WebAssembly;
    WebAssembly.Instance = function (module, imports) {
      const { exports } = new Instance(module, imports);
      let batches = 0;
      const checkPackets = (batch) => {
        if (++batches === 10 && isFirst()) throw new Error("on purpose");
        exports.checkPackets(batch);
      };
      return { exports: { ...exports, checkPackets } };
    };
    await import(pump);`,
  "between two batches, while packets wait": `
    await import(pump);
    const block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    if (isFirst()) setTimeout(() => { block(); throw new Error("on purpose"); }, 50);`,
};

describe("a pump that fails under traffic is started again, and says so", () => {
  test.each(Object.entries(failures))("%s", async (_when, source) => {
    await a.backend.close();
    const events: BackendEvent[] = [];
    const listen = (event: unknown): void => void events.push(event as BackendEvent);
    subscribe("loden:backend", listen);
    using outside = plainUdpSocket(b.netns, b.underlay, 9000);
    const to = encodeSocketAddress(a.underlay.toBytes(), 8285);
    // The pump sleeps in between.
    const traffic = setInterval(() => {
      for (let i = 0; i < 20; i++) sendTo(outside.fd, new Uint8Array(10), to);
    }, 15);
    try {
      const prelude = `
        import { workerData } from "node:worker_threads";
        const isFirst = () => Atomics.add(workerData.cells, 1, 1_000_000) < 1_000_000;
        const pump = ${JSON.stringify(import.meta.resolve("./pump.ts"))};`;
      const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(prelude + source)}`);
      const underlay = { link: "eth0", mtu: 1500, ipv4: a.underlay };
      await using backend = openUdpBackend({ netns: a.netns, underlay, workerUrl, kernelPath: "off" });
      await backend.join({ lease: a.lease, network });
      await backend.apply([b.lease]);
      await expect
        .poll(() => events)
        .toMatchObject([{ type: "pumpRestarted", restarts: 1, error: { message: "on purpose" } }]);
      expect(await ping({ ...a, backend }, b.inner)).toBe(true);
    } finally {
      clearInterval(traffic);
      unsubscribe("loden:backend", listen);
    }
  });
});
