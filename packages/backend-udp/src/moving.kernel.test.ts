import { readdirSync, readFileSync } from "node:fs";
import type { Underlay } from "@loden/backend";
import { encodeSocketAddress, receiveFrom, sendTo } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ping, udpSocket } from "./host-sockets.fixture.ts";
import { openUdpBackend } from "./index.ts";
import { network, openTwoHosts, outerAddress, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

let hosts: TwoHosts;
let a: Host;
let b: Host;

beforeEach(async () => {
  hosts = await openTwoHosts();
  ({ a, b } = hosts);
});

afterEach(() => hosts[Symbol.asyncDispose]());

describe("setUnderlay()", () => {
  test("loses no packet of either direction, and its pump goes on, when another socket comes and goes", async () => {
    const [ipv4, ipv6] = [a.underlay, outerAddress(6, 1)];
    await addAddress(a, { link: "eth0", mtu: 1500, ipv6 });
    expect(await ping(a, b.inner)).toBe(true);
    const before = { threads: pumpThreads(), wakeups: a.backend.wakeups };
    using there = openStream(a, b);
    using back = openStream(b, a);
    for (const more of [{ ipv6 }, {}, { ipv6 }, {}]) {
      await a.backend.setUnderlay({ link: "eth0", mtu: 1500, ipv4, ...more });
      // Each socket moves some of them.
      const sent = there.sent + 20;
      await expect.poll(() => there.sent).toBeGreaterThan(sent);
    }
    for (const stream of [there, back]) {
      stream.stop();
      await expect.poll(() => stream.received()).toBe(stream.sent);
    }
    expect(pumpThreads()).toEqual(before.threads);
    expect(a.backend.wakeups).toBeGreaterThanOrEqual(before.wakeups);
    expect(a.backend.stats()).toMatchObject({ restarts: 0 });
  });

  test("moves again and again, also back to an address that it had", async () => {
    const moved: Underlay = { link: "eth0", mtu: 1500, ipv4: outerAddress(4, 51) };
    const last: Underlay = { link: "eth0", mtu: 1500, ipv4: outerAddress(4, 52) };
    for (const underlay of [moved, last]) await addAddress(a, underlay);
    await a.backend.setUnderlay(moved);
    await a.backend.setUnderlay({ ...moved, ipv4: a.underlay });
    await a.backend.setUnderlay(last);
    await b.backend.apply([{ ...a.lease, attributes: a.backend.attributes }]);
    expect(await ping(b, a.inner)).toBe(true);
  });

  test("is done when a pump that fails meanwhile was started again, with the new sockets", async () => {
    await a.backend.close();
    // The first one says that it runs, and fails as soon as it is to move.
    const source = `
      import { parentPort, workerData } from "node:worker_threads";
      if (Atomics.add(workerData.cells, 1, 100) >= 100) await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});
      else {
        parentPort.postMessage({ type: "running" });
        setInterval(() => { if (Atomics.load(workerData.cells, 3) === 1) throw new Error("on purpose"); }, 1);
      }`;
    const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
    const moved: Underlay = { link: "eth0", mtu: 1500, ipv4: outerAddress(4, 51) };
    await addAddress(a, moved);
    await using backend = openUdpBackend({
      netns: a.netns,
      underlay: { ...moved, ipv4: a.underlay },
      workerUrl,
    });
    await backend.join({ lease: a.lease, network });
    await backend.apply([b.lease]);
    await backend.setUnderlay(moved);
    expect(backend.stats().restarts).toBe(1);
    await b.backend.apply([{ ...a.lease, attributes: backend.attributes }]);
    expect(await ping({ ...a, backend }, b.inner)).toBe(true);
    expect(await ping(b, a.inner)).toBe(true);
  });
});

async function addAddress({ netns }: Host, { link, ipv4, ipv6 }: Underlay): Promise<void> {
  using rtnetlink = openRtnetlink({ netns });
  for (const address of [ipv4, ipv6]) {
    if (address === undefined) continue;
    const prefixLength = address.family === 4 ? 24 : 64;
    await rtnetlink.addresses.add({ link, address, prefixLength, duplicateDetection: false });
  }
}

/** Datagrams from one host to the other, one a millisecond. */
function openStream(from: Host, to: Host) {
  const receiver = udpSocket(to, 7000);
  const sender = udpSocket(from, 7001);
  const target = encodeSocketAddress(to.inner.toBytes(), 7000);
  const buffer = new Uint8Array(64);
  let received = 0;
  const stream = {
    sent: 0,
    received(): number {
      while (receiveFrom(receiver.fd, buffer) !== undefined) received++;
      return received;
    },
    stop: () => clearInterval(timer),
    [Symbol.dispose](): void {
      clearInterval(timer);
      receiver[Symbol.dispose]();
      sender[Symbol.dispose]();
    },
  };
  const timer = setInterval(() => {
    if (sendTo(sender.fd, new Uint8Array(16), target) !== undefined) stream.sent++;
    stream.received();
  }, 1);
  return stream;
}

/** The numbers of the pumps' threads, which are other ones after a restart. */
function pumpThreads(): string[] {
  const isPump = (id: string): boolean =>
    readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim() === "loden-pump";
  return readdirSync("/proc/self/task").filter(isPump);
}
