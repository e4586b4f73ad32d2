import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { innerAddress, otherSide, type Side } from "../dataplane/addresses.ts";
import type { RelayOptions } from "../dataplane/relay-agent.ts";
import { type Agent, startAgent } from "../dataplane/start-agent.ts";
import { buildTopology, type Topology } from "../dataplane/topology.ts";

// left (one of the two) --- veth --- right (the other one)
let undo: AsyncDisposableStack;
let topology: Topology;
const agents = {} as Record<Side, Agent>;

beforeEach(async () => {
  undo = new AsyncDisposableStack();
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  topology = await buildTopology("veth", undefined, spaces);
  for (const side of ["left", "right"] as const) agents[side] = start(side, "../dataplane/traffic-agent.ts");
});

afterEach(() => undo.disposeAsync());

describe.each([
  { left: "classic", right: "classic" },
  { left: "classic", right: "loden" },
  { left: "loden", right: "classic" },
] as const)("$left to $right", ({ left, right }) => {
  test("startClassicRelay() carries pings and TCP when the other host is any that speaks flannel's bytes", async () => {
    await relay("left", left);
    await relay("right", right);
    expect(await ping("left")).toBe(20);
    expect(await ping("right")).toBe(20);
    await agents.left.call("serveTcp", { port: 5001 });
    const from = { address: innerAddress("classic", "left").toBytes(), port: 5001 };
    await agents.right.call("start", {
      thread: 0,
      name: "receiveTcp",
      options: { from, streams: 2, window: undefined },
    });
    await expect.poll(async () => (await received()) > 5_000_000).toBe(true);
    await agents.right.call("finish", { thread: 0, stop: true });
  });
});

function start(side: Side, module: string): Agent {
  return undo.adopt(startAgent(topology.hosts[side], import.meta.resolve(module)), (agent) => agent.close());
}

async function relay(side: Side, software: "loden" | "classic"): Promise<void> {
  const options: RelayOptions = { path: "classic", side, software };
  await start(side, "../dataplane/relay-agent.ts").call("start", options);
}

/** How many of 20 requests are answered. */
async function ping(from: Side): Promise<number> {
  const to = { address: innerAddress("classic", otherSide(from)).toBytes(), port: 0 };
  const options = { to, count: 20, atMostMs: 10_000 };
  await agents[from].call("start", { thread: 1, name: "ping", options });
  const samples = await agents[from].call<Float64Array>("finish", { thread: 1, stop: false });
  return samples.length;
}

async function received(): Promise<number> {
  const snapshot = await agents.right.call<{ bytes: number }>("snapshot", { processes: [], device: "lo" });
  return snapshot.bytes;
}
