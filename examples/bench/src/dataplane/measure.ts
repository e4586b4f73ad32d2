import { setTimeout as sleep } from "node:timers/promises";
import { innerAddress, type PathName, type Side } from "./addresses.ts";
import { countCalls } from "./count-calls.ts";
import type { Paths } from "./open-paths.ts";
import { runTimeOf } from "./processors.ts";
import { sampleSoftInterrupts } from "./sample-soft-interrupts.ts";
import type { Agent } from "./start-agent.ts";
import type { Topology } from "./topology.ts";
import type { JobCall, Snapshot } from "./traffic-agent.ts";
import type { Endpoint } from "./traffic-jobs.ts";
import type { JobName } from "./traffic-worker.ts";

/** Where the applications of the sender listen for TCP, and those of the receiver for UDP. */
export const TCP_PORT = 5001;
const UDP_PORT = 5002;
/** So long traffic runs before it is measured. */
const WARM_UP_MS = 120;
/** The load under which round-trip times are measured: 200 Mbit/s of 1,400-byte datagrams. */
const LOAD = { bytes: 1400, perSecond: 200e6 / 8 / 1400 } as const;

/** A place where paths are measured. */
export interface Field {
  readonly topology: Topology;
  readonly paths: Paths;
  /** The applications of each host. */
  readonly agents: Readonly<Record<Side, Agent>>;
}

/** What one measurement gave: numbers by name. */
export type Reading = Readonly<Record<string, number>>;

/** TCP from left to right; `undefined` when not a byte arrived, as when a connection could not be made on a busy machine. */
export async function measureTcp(
  field: Field,
  path: PathName,
  streams: number,
  seconds: number,
): Promise<Reading | undefined> {
  const { right } = field.agents;
  await startTcp(right, path, streams);
  const spent = await observe(field, path, seconds);
  await finishJob(right, 0, true);
  if (spent.received.bytes === 0) return undefined;
  const gigabytes = spent.received.bytes / 1e9;
  expectFrames(field, path, spent);
  return {
    gbit: (gigabytes * 8) / spent.received.seconds,
    ...(field.topology.accountable && {
      rxcpu: spent.received.processorSeconds / gigabytes,
      txcpu: spent.sent.processorSeconds / gigabytes,
    }),
  };
}

/**
 * What soft interrupts on top of the wire's threads take during TCP from left to right (`softcpu`), and the sender with them (`txallcpu`). They
 * are the sender's: a frame that has left lets its TCP send the next one, and a kernel's own tunnel sends it right there. Nothing where nobody
 * may look.
 */
export async function measureSoftInterrupts(field: Field, path: PathName, seconds: number): Promise<Reading> {
  const { right } = field.agents;
  const { wireThreads } = field.topology;
  await startTcp(right, path, 1);
  await sleep(WARM_UP_MS);
  const [sent, before] = await snapshots(field, path);
  const ran = runTimeOf(wireThreads);
  const readShare = await sampleSoftInterrupts(wireThreads, seconds);
  const [sentEnd, after] = await snapshots(field, path);
  const spent = (runTimeOf(wireThreads) - ran) / 1e9;
  await finishJob(right, 0, true);
  const share = readShare();
  const gigabytes = difference(before, after).bytes / 1e9;
  if (share === undefined || gigabytes === 0) return {};
  const soft = share * spent;
  return {
    softcpu: soft / gigabytes,
    txallcpu: (difference(sent, sentEnd).processorSeconds + soft) / gigabytes,
  };
}

/** Datagrams from left to right; all that the sender can, or so many a second. */
export async function measureUdp(
  field: Field,
  path: PathName,
  load: { readonly bytes: number; readonly perSecond: number | undefined },
  seconds: number,
): Promise<Reading | undefined> {
  const { left, right } = field.agents;
  await startJob(right, {
    thread: 0,
    name: "receiveUdp",
    options: { at: endpoint(path, "right", UDP_PORT) },
  });
  const to = endpoint(path, "right", UDP_PORT);
  await startJob(left, { thread: 0, name: "sendUdp", options: { to, ...load } });
  const { sent, received } = await observe(field, path, seconds);
  await finishJob(left, 0, true);
  await finishJob(right, 0, true);
  if (received.packets === 0) return undefined;
  return {
    kpps: received.packets / received.seconds / 1000,
    lost: Math.max(0, 1 - received.packets / received.seconds / (sent.packets / sent.seconds)),
    ...(field.topology.accountable && {
      rxcpu: (received.processorSeconds / received.packets) * 1e6,
      txcpu: (sent.processorSeconds / sent.packets) * 1e6,
    }),
  };
}

/** System calls of a path's relays for each packet of small datagrams; nothing for the kernel's own paths, and where nobody may count. */
export async function measureCalls(
  field: Field,
  path: PathName,
  load: { readonly bytes: number; readonly perSecond: number },
  seconds: number,
): Promise<Reading> {
  const { left, right } = field.agents;
  const [sender] = field.paths.relays(path, "left");
  const [receiver] = field.paths.relays(path, "right");
  if (sender === undefined || receiver === undefined) return {};
  const to = endpoint(path, "right", UDP_PORT);
  await startJob(right, { thread: 0, name: "receiveUdp", options: { at: to } });
  await startJob(left, { thread: 0, name: "sendUdp", options: { to, ...load } });
  const [spent, txcalls, rxcalls] = await Promise.all([
    observe(field, path, seconds),
    countCalls(sender, seconds),
    countCalls(receiver, seconds),
  ]);
  await finishJob(left, 0, true);
  await finishJob(right, 0, true);
  if (txcalls === undefined || rxcalls === undefined) return {};
  const perSecond = spent.received.packets / spent.received.seconds;
  return { rxcalls: rxcalls / perSecond, txcalls: txcalls / perSecond };
}

/** Round-trip times in microseconds: so many one after the other, at most so long. */
export async function measureRtt(
  field: Field,
  path: PathName,
  limit: { readonly count: number; readonly seconds: number; readonly loaded: boolean },
): Promise<Float64Array> {
  const { left, right } = field.agents;
  if (limit.loaded) {
    const to = endpoint(path, "right", UDP_PORT);
    await startJob(right, { thread: 0, name: "receiveUdp", options: { at: to } });
    await startJob(left, { thread: 0, name: "sendUdp", options: { to, ...LOAD } });
    await sleep(WARM_UP_MS);
  }
  const options = { to: endpoint(path, "right", 0), count: limit.count, atMostMs: limit.seconds * 1000 };
  await startJob(left, { thread: 1, name: "ping", options });
  const samples = (await finishJob(left, 1, false)) as Float64Array;
  if (limit.loaded) {
    await finishJob(left, 0, true);
    await finishJob(right, 0, true);
  }
  return samples;
}

function endpoint(path: PathName, side: Side, port: number): Endpoint {
  return { address: innerAddress(path, side).toBytes(), port };
}

function startTcp(right: Agent, path: PathName, streams: number): Promise<void> {
  const from = endpoint(path, "left", TCP_PORT);
  // Its own inner address, so that what comes back takes the path too.
  const at = endpoint(path, "right", 0);
  return startJob(right, { thread: 0, name: "receiveTcp", options: { from, at, streams } });
}

function startJob<Name extends JobName>(agent: Agent, job: JobCall<Name>): Promise<void> {
  return agent.call("start", job);
}

function finishJob(agent: Agent, thread: 0 | 1, stop: boolean): Promise<unknown> {
  return agent.call("finish", { thread, stop });
}

interface Spent {
  readonly sent: Snapshot;
  readonly received: Snapshot;
}

/** The difference of both hosts' accounts over some seconds of traffic. */
async function observe(field: Field, path: PathName, seconds: number): Promise<Spent> {
  await sleep(WARM_UP_MS);
  const [left, right] = await snapshots(field, path);
  await sleep(seconds * 1000);
  const [leftEnd, rightEnd] = await snapshots(field, path);
  return { sent: difference(left, leftEnd), received: difference(right, rightEnd) };
}

async function snapshots({ topology, paths, agents }: Field, path: PathName): Promise<[Snapshot, Snapshot]> {
  const take = (side: Side): Promise<Snapshot> => {
    const { kernelThreads, device } = topology.hosts[side];
    return agents[side].call("snapshot", {
      processes: [...paths.relays(path, side), ...kernelThreads],
      device,
    });
  };
  return Promise.all([take("left"), take("right")]);
}

function difference(from: Snapshot, to: Snapshot): Snapshot {
  return {
    seconds: to.seconds - from.seconds,
    bytes: to.bytes - from.bytes,
    packets: to.packets - from.packets,
    processorSeconds: to.processorSeconds - from.processorSeconds,
    frames: to.frames - from.frames,
    frameBytes: to.frameBytes - from.frameBytes,
  };
}

/** A wire on which packets cross whole is none: nothing that is measured there would mean anything. */
function expectFrames({ topology }: Field, path: PathName, { received }: Spent): void {
  if (topology.name !== "wire") return;
  const mean = received.frameBytes / received.frames;
  if (mean > 1200 && mean <= 1514) return;
  throw new Error(
    `Cannot measure ${path} on the wire: the mean frame has ${mean.toFixed(0)} bytes, expected 1200 to 1514`,
  );
}
