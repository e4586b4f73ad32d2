import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { BroadcastChannel } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { constants, encodeSocketAddress, sendTo, setSocketOption } from "@loden/linux";
import {
  echoRequest,
  icmpSocket,
  ping,
  plainUdpSocket,
  tooLongError,
  tooLongErrors,
  udpSocket,
  type TestSocket,
} from "./host-sockets.fixture.ts";
import { allFamilies, type Families, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

// Pumps that tell how much garbage they make: V8 itself reports its collections, and how much of its heap is in use.

const UDP_SEGMENT = 103;
/** Datagrams of one message: what older kernels cut at most. */
const TRAIN = 64;
const DATAGRAM_BYTES = 18;
/** A pump that allocated one word a packet would be far above it; its wake-ups, and the questions about its heap, stay below. */
const MOST_GROWTH = 500_000;

// V8 gives memory back once, some seconds after a thread's start: that collection is not the packets'. A thread takes the flag as it starts.
setFlagsFromString("--no-memory-reducer");

let hosts: TwoHosts;
let a: Host;
let b: Host;
let channel: BroadcastChannel;

beforeEach(() => {
  channel = new BroadcastChannel(`garbage-${process.pid}`);
});

async function open(families: Partial<Families> = {}): Promise<void> {
  hosts = await openTwoHosts({ ...families, workerUrl: watchedPump(channel.name) });
  ({ a, b } = hosts);
}

afterEach(async () => {
  channel.close();
  await hosts[Symbol.asyncDispose]();
});

describe("openUdpBackend() leaves nothing to collect", () => {
  test("no pump collects garbage over 10 million packets once it is warm", { timeout: 300_000 }, async () => {
    await open();
    // It is never read: what does not fit is dropped behind the pump.
    using sink = udpSocket(b, 7000);
    using single = udpSocket(a, 7001);
    using train = udpSocket(a, 7002);
    setSocketOption(train.fd, constants.SOL_UDP, UDP_SEGMENT, DATAGRAM_BYTES);
    const to = encodeSocketAddress(b.inner.toBytes(), 7000);
    const arrived = (): number => b.backend.stats().inbound.packets;
    const move = async (singles: number, packets: number): Promise<void> => {
      await flood(single, new Uint8Array(DATAGRAM_BYTES), to, arrived, singles);
      await flood(train, new Uint8Array(TRAIN * DATAGRAM_BYTES), to, arrived, packets - singles);
    };
    await move(100_000, 3_000_000);
    await expectNoGarbage(() => move(200_000, 10_000_000));
    expect(sink.fd).toBeGreaterThan(0);
  });
});

describe.each(allFamilies)(
  "openUdpBackend() leaves nothing to collect of IPv$inner over IPv$outer",
  (families) => {
    beforeEach(() => open(families));

    test("a flood of datagrams that are no packets makes no garbage", { timeout: 300_000 }, async () => {
      using stranger = plainUdpSocket(hosts.stranger, hosts.strangerAddress, 9000);
      setSocketOption(stranger.fd, constants.SOL_UDP, UDP_SEGMENT, DATAGRAM_BYTES);
      const to = encodeSocketAddress(b.underlay.toBytes(), 8285);
      const data = Uint8Array.from({ length: TRAIN * DATAGRAM_BYTES }, (_, i) => i * 7);
      const dropped = (): number => b.backend.stats().inbound.dropped["tooShort"] ?? 0;
      await flood(stranger, data, to, dropped, 300_000);
      await expectNoGarbage(() => flood(stranger, data, to, dropped, 1_000_000));
    });

    test("a flood of a stranger's packets makes no garbage", { timeout: 300_000 }, async () => {
      using stranger = plainUdpSocket(hosts.stranger, hosts.strangerAddress, 9000);
      const packet = echoRequest(a.inner, b.inner);
      setSocketOption(stranger.fd, constants.SOL_UDP, UDP_SEGMENT, packet.length);
      const to = encodeSocketAddress(b.underlay.toBytes(), 8285);
      const { length } = packet;
      const data = Uint8Array.from({ length: TRAIN * length }, (_, i) => packet[i % length] ?? 0);
      const dropped = (): number => b.backend.stats().inbound.dropped["unknownSender"] ?? 0;
      await flood(stranger, data, to, dropped, 300_000);
      await expectNoGarbage(() => flood(stranger, data, to, dropped, 1_000_000));
    });

    test("a flood of ICMP errors about what nobody here sent makes no garbage, and gets no answer", async () => {
      using router = icmpSocket(hosts.stranger, hosts.strangerAddress);
      const error = tooLongError(b.underlay, a.underlay, echoRequest(a.inner, b.inner));
      const to = encodeSocketAddress(b.underlay.toBytes(), 0);
      const heard = (): number => tooLongErrors(b);
      await flood(router, error, to, heard, 20_000);
      await expectNoGarbage(() => flood(router, error, to, heard, 50_000));
      expect(b.backend.stats()).toMatchObject({ icmpSent: 0, restarts: 0 });
      expect(await ping(b, a.inner)).toBe(true);
    });
  },
);

/** Sends one message over and over, in bursts that fit a device's queue, until a counter has grown by so many. */
async function flood(
  { fd }: TestSocket,
  data: Uint8Array,
  to: Uint8Array,
  counter: () => number,
  growth: number,
): Promise<void> {
  for (const until = counter() + growth; counter() < until; await sleep(1)) {
    for (let i = 0; i < 200; i++) sendTo(fd, data, to);
  }
}

async function expectNoGarbage(work: () => Promise<void>): Promise<void> {
  const before = await ask("collect");
  await work();
  const after = await ask("sample");
  for (const [i, { collections, heapBytes }] of after.entries()) {
    expect(collections).toBe(before[i]?.collections);
    expect(heapBytes - (before[i]?.heapBytes ?? 0)).toBeLessThan(MOST_GROWTH);
  }
}

interface Sample {
  readonly thread: number;
  /** Since its start. */
  readonly collections: number;
  readonly heapBytes: number;
}

/** What each of the two pumps says of its heap; `collect` has it emptied first of what its start left behind. */
async function ask(question: "collect" | "sample"): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const both = Promise.withResolvers<void>();
  const take = (event: Event): void => {
    if (samples.push((event as MessageEvent).data as Sample) === 2) both.resolve();
  };
  channel.addEventListener("message", take);
  channel.postMessage(question);
  await both.promise;
  channel.removeEventListener("message", take);
  return samples.toSorted((x, y) => x.thread - y.thread);
}

/** The pump's module, in a thread that answers. */
function watchedPump(name: string): URL {
  const source = `
    import { PerformanceObserver } from "node:perf_hooks";
    import { getHeapStatistics, setFlagsFromString } from "node:v8";
    import { runInNewContext } from "node:vm";
    import { threadId } from "node:worker_threads";
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc");
    let collections = 0;
    const observer = new PerformanceObserver((list) => { collections += list.getEntries().length; });
    observer.observe({ entryTypes: ["gc"] });
    const channel = new BroadcastChannel(${JSON.stringify(name)});
    const answer = () => {
      collections += observer.takeRecords().length;
      channel.postMessage({ thread: threadId, collections, heapBytes: getHeapStatistics().used_heap_size });
    };
    channel.onmessage = ({ data }) => {
      if (data === "sample") answer();
      if (data !== "collect") return;
      collect();
      // Its own collection is told of in the next turn.
      setImmediate(() => setImmediate(answer));
    };
    channel.unref();
    await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}
