import { setTimeout as sleep } from "node:timers/promises";
import { innerAddress, type Side } from "../dataplane/addresses.ts";
import { countCalls } from "../dataplane/count-calls.ts";
import { introduceRelays, type StartedRelay } from "../dataplane/introduce-relays.ts";
import type { Published, RelayOptions } from "../dataplane/relay-agent.ts";
import { type Agent, startAgent } from "../dataplane/start-agent.ts";
import { buildTopology } from "../dataplane/topology.ts";
import type { JobCall, Snapshot } from "../dataplane/traffic-agent.ts";

const PORT = 5002;
const TCP_PORT = 5001;
/** Bytes of TCP payload of a packet of the tunnel's size, with timestamps. */
const TCP_PAYLOAD = 1420;

/**
 * Counts the system calls of both pumps, which have all packets, for each packet of the tunnel's size, over a veth: datagrams of 64 bytes at 40,000 a second, datagrams of
 * 1,400 at 20,000, and TCP as fast as it goes.
 *
 * @param seconds of each measurement.
 * @returns figures by name; none where `perf` is missing or may not look.
 */
export async function countPathCalls(seconds: number): Promise<Readonly<Record<string, number>>> {
  await using undo = new AsyncDisposableStack();
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  const { hosts } = await buildTopology("veth", undefined, spaces);
  const start = (side: Side, module: string): Agent =>
    undo.adopt(startAgent(hosts[side], import.meta.resolve(module)), (agent) => agent.close());
  const startRelay = async (side: Side): Promise<StartedRelay> => {
    const agent = start(side, "../dataplane/relay-agent.ts");
    const { device } = hosts[side];
    const options: RelayOptions = { path: "userspace", side, software: "loden", device, kernelPath: "off" };
    return { agent, published: await agent.call<Published>("start", options) };
  };
  const relays = { left: await startRelay("left"), right: await startRelay("right") };
  await introduceRelays(relays);
  const [sender, receiver] = [
    start("left", "../dataplane/traffic-agent.ts"),
    start("right", "../dataplane/traffic-agent.ts"),
  ];
  const to = { address: innerAddress("userspace", "right").toBytes(), port: PORT };
  const from = { address: innerAddress("userspace", "left").toBytes(), port: TCP_PORT };
  await sender.call("serveTcp", { port: TCP_PORT });
  const figures: Record<string, number> = {};
  for (const { name, jobs, packets } of loads()) {
    for (const [agent, job] of jobs) await agent.call("start", job);
    const idle = packets(await account());
    const limit = AbortSignal.timeout(10_000);
    while (packets(await account()) === idle) await sleep(50, undefined, { signal: limit });
    const before = await account();
    const [tx, rx] = await Promise.all(
      [relays.left, relays.right].map(({ agent }) => countCalls(agent.pid, seconds)),
    );
    const after = await account();
    for (const [agent] of jobs.toReversed()) await agent.call("finish", { thread: 0, stop: true });
    const perSecond = (packets(after) - packets(before)) / (after.seconds - before.seconds);
    if (tx === undefined || rx === undefined) continue;
    figures[`${name} tx calls/packet`] = tx / perSecond;
    figures[`${name} rx calls/packet`] = rx / perSecond;
  }
  return figures;

  function account(): Promise<Snapshot> {
    return receiver.call<Snapshot>("snapshot", { processes: [], device: "lo" });
  }

  function loads(): readonly {
    readonly name: string;
    readonly jobs: readonly (readonly [Agent, JobCall])[];
    readonly packets: (account: Snapshot) => number;
  }[] {
    const receive: JobCall = { thread: 0, name: "receiveUdp", options: { at: to } };
    const send = (bytes: number, perSecond: number): JobCall => ({
      thread: 0,
      name: "sendUdp",
      options: { to, bytes, perSecond },
    });
    const tcp: JobCall = {
      thread: 0,
      name: "receiveTcp",
      options: { from, at: { ...to, port: 0 }, streams: 1 },
    };
    return [
      {
        name: "udp64",
        jobs: [
          [receiver, receive],
          [sender, send(64, 40_000)],
        ],
        packets: ({ packets }) => packets,
      },
      {
        name: "udp1400",
        jobs: [
          [receiver, receive],
          [sender, send(1400, 20_000)],
        ],
        packets: ({ packets }) => packets,
      },
      { name: "tcp1", jobs: [[receiver, tcp]], packets: ({ bytes }) => bytes / TCP_PAYLOAD },
    ];
  }
}
