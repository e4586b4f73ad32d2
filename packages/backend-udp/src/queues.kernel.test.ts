import { readdirSync, readFileSync } from "node:fs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackendEvent } from "@loden/backend";
import { parseAddress } from "@loden/ip";
import { encodeSocketAddress, sendTo } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { openUdpBackend } from "./index.ts";
import { ping, received, udpSocket } from "./host-sockets.fixture.ts";
import { network, openTwoHosts, type TwoHosts } from "./two-hosts.fixture.ts";

const FLOWS = 16;
const ROUNDS = 40;
const SINK = 7000;

// The second pump's first run fails half a second after its start: its wake-up count tells it from the second run.
const failing = `
  import { workerData } from "node:worker_threads";
  await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});
  const first = workerData.queue === 1 && Atomics.add(workerData.cells, 1, 100) < 100;
  if (first) setTimeout(() => { throw new Error("on purpose"); }, 500);`;
let hosts: TwoHosts;

async function openHosts(workerUrl?: URL): Promise<void> {
  hosts = await openTwoHosts({ queues: 2, ...(workerUrl !== undefined && { workerUrl }) });
}

afterEach(() => hosts[Symbol.asyncDispose]());

describe("openUdpBackend() with several queues", () => {
  beforeEach(() => openHosts());

  test("openUdpBackend() carries every datagram of many flows once and in order when it has two pumps", async () => {
    const before = runTimes();
    expect(before).toHaveLength(4);
    expect(await sendFlows()).toEqual(expectedFlows());
    const ran = runTimes().map((time, i) => time - (before[i] ?? 0));
    // Both of the sender; at the receiver all datagrams come from one peer, and so to one socket.
    expect(ran.filter((time) => time > 0).length).toBeGreaterThanOrEqual(3);
    expect(hosts.a.backend.stats().outbound.packets).toBeGreaterThanOrEqual(FLOWS * ROUNDS);
  });

  test("join() says EADDRINUSE when another backend of the same user has the port, several queues or not", async () => {
    const { a } = hosts;
    const underlay = { link: "eth0", mtu: 1500, ipv4: a.underlay };
    for (const queues of [1, 2]) {
      await using backend = openUdpBackend({ netns: a.netns, underlay, queues });
      await expect(backend.join({ lease: a.lease, network })).rejects.toMatchObject({ code: "EADDRINUSE" });
    }
    expect(await ping(a, hosts.b.inner)).toBe(true);
  });

  test("setUnderlay() goes on with as many pumps when the address changes", async () => {
    const { a, b } = hosts;
    const ipv4 = parseAddress("192.0.2.11");
    using rtnetlink = openRtnetlink({ netns: a.netns });
    await rtnetlink.addresses.add({ link: "eth0", address: ipv4, prefixLength: 24 });
    await a.backend.setUnderlay({ link: "eth0", mtu: 1500, ipv4 });
    await b.backend.apply([{ ...a.lease, attributes: a.backend.attributes }]);
    expect(pumps()).toHaveLength(4);
    expect(await sendFlows()).toEqual(expectedFlows());
  });
});

test("openUdpBackend() starts a pump again and keeps the others going when one of two fails", async () => {
  const events: BackendEvent[] = [];
  const listen = (event: unknown): void => void events.push(event as BackendEvent);
  subscribe("loden:backend", listen);
  try {
    await openHosts(new URL(`data:text/javascript,${encodeURIComponent(failing)}`));
    const restarted = { type: "pumpRestarted", restarts: 1 };
    await expect.poll(() => events).toMatchObject([restarted, restarted]);
    await expect.poll(() => ping(hosts.a, hosts.b.inner, 500)).toBe(true);
    await expect.poll(() => pumps().length).toBe(4);
    expect(await sendFlows()).toEqual(expectedFlows());
    expect(hosts.a.backend.stats().restarts).toBe(1);
  } finally {
    unsubscribe("loden:backend", listen);
  }
});

test("openUdpBackend() refuses a number of queues that no packet memory has", async () => {
  await openHosts();
  const underlay = { link: "eth0", mtu: 1500, ipv4: hosts.a.underlay };
  for (const queues of [0, 65, 1.5]) {
    expect(() => openUdpBackend({ underlay, queues })).toThrow(RangeError);
  }
});

/** Sends numbered datagrams of many flows from a to b, a few at a time; gives the numbers that arrive, by flow. */
async function sendFlows(): Promise<number[][]> {
  const { a, b } = hosts;
  using undo = new DisposableStack();
  const sink = undo.use(udpSocket(b, SINK));
  const senders = Array.from({ length: FLOWS }, (_, i) => undo.use(udpSocket(a, 6000 + i)));
  const to = encodeSocketAddress(b.inner.toBytes(), SINK);
  const arrived = senders.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    senders.forEach(({ fd }, flow) => sendTo(fd, Uint8Array.of(flow, round), to));
    for (let i = 0; i < FLOWS; i++) {
      const [flow = 0, number = -1] = (await received(sink.fd)) ?? [];
      arrived[flow]?.push(number);
    }
  }
  expect(await received(sink.fd, 50)).toBeUndefined();
  return arrived;
}

function expectedFlows(): number[][] {
  return Array.from({ length: FLOWS }, () => Array.from({ length: ROUNDS }, (_, i) => i));
}

function pumps(): string[] {
  const threads = readdirSync("/proc/self/task").map((id) => `/proc/self/task/${id}`);
  return threads.filter((thread) => readFileSync(`${thread}/comm`, "utf8").trim() === "loden-pump");
}

/** How long each pump has run, in nanoseconds: the scheduler's own account. */
function runTimes(): number[] {
  return pumps().map((thread) => Number(readFileSync(`${thread}/schedstat`, "utf8").split(" ")[0]));
}
