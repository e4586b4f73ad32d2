import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import {
  innerAddress,
  networks,
  otherSide,
  outerAddress,
  ports,
  type Side,
  TUNNEL_MTU,
} from "../dataplane/addresses.ts";
import { introduceRelays, type StartedRelay } from "../dataplane/introduce-relays.ts";
import type { Published, RelayAccount, RelayOptions } from "../dataplane/relay-agent.ts";
import { startAgent } from "../dataplane/start-agent.ts";
import { buildTopology, type HostSpace, type TopologyName } from "../dataplane/topology.ts";

/** What carries a host's packets; all of them speak flannel's bytes. */
export type Software = "loden" | "classic" | "socat";

/** A host of a pair. */
export interface PairHost {
  readonly netns: Netns;
  /** Its device on the underlay. */
  readonly device: string;
  /** Its address in the overlay. */
  readonly inner: Address;
}

/** Two hosts of one overlay. Closing ends what runs in them. */
export interface Pair extends AsyncDisposable {
  readonly hosts: Readonly<Record<Side, PairHost>>;
}

/** A pair with software of several sorts. */
export interface SoftwarePair extends Pair {
  /** What Loden does on a host that has it. */
  account(side: Side): Promise<RelayAccount>;
}

/**
 * Makes two hosts, each with some software that carries its packets, as peers of each other in one overlay.
 *
 * @param name what joins them.
 * @param software for each host.
 * @param options whose network, addresses and port they use, and Loden's setting.
 * @returns the hosts; the caller closes them.
 */
export async function openPair(
  name: TopologyName,
  software: Readonly<Record<Side, Software>>,
  options: Pick<RelayOptions, "path" | "kernelPath">,
): Promise<SoftwarePair> {
  const { path } = options;
  await using undo = new AsyncDisposableStack();
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  const topology = await buildTopology(name, undefined, spaces);
  const relays: Partial<Record<Side, StartedRelay>> = {};
  for (const side of ["left", "right"] as const) {
    const host = topology.hosts[side];
    if (software[side] === "socat") await startSocat(host, { path, side }, undo);
    else relays[side] = await startRelay(host, { ...options, side, software: software[side] }, undo);
  }
  await introduceRelays(relays);
  const hostOf = (side: Side): PairHost => ({
    netns: topology.hosts[side].netns,
    device: topology.hosts[side].device,
    inner: innerAddress(path, side),
  });
  const held = undo.move();
  return {
    hosts: { left: hostOf("left"), right: hostOf("right") },
    account: (side) => (relays[side] as StartedRelay).agent.call("account"),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function startRelay(
  host: HostSpace,
  options: Omit<RelayOptions, "device">,
  undo: AsyncDisposableStack,
): Promise<StartedRelay> {
  const agent = startAgent(host, import.meta.resolve("../dataplane/relay-agent.ts"));
  undo.defer(() => agent.close());
  const { device } = host;
  return { agent, published: await agent.call<Published | undefined>("start", { ...options, device }) };
}

/** Debian's socat between a TUN device and a UDP socket. */
async function startSocat(
  { netns }: HostSpace,
  { path, side }: Pick<RelayOptions, "path" | "side">,
  undo: AsyncDisposableStack,
): Promise<void> {
  const [own, other] = [outerAddress(side).toString(), outerAddress(otherSide(side)).toString()];
  const words = [
    "-b65536",
    `TUN:${innerAddress(path, side).toString()}/32,tun-name=socat0,iff-no-pi,iff-up`,
    `UDP4-DATAGRAM:${other}:${ports[path]},bind=${own}:${ports[path]}`,
  ];
  const child = netns.run(() => spawn("socat", words, { stdio: ["ignore", "inherit", "inherit"] }));
  undo.defer(() => ended(child));
  using rtnetlink = openRtnetlink({ netns });
  const limit = AbortSignal.timeout(20_000);
  while ((await rtnetlink.links.get("socat0"))?.up !== true) await sleep(10, undefined, { signal: limit });
  await rtnetlink.links.set("socat0", { mtu: TUNNEL_MTU });
  await rtnetlink.routes.add({ destination: networks[path], link: "socat0" });
  // It opens its socket after its device; until then what comes is refused.
  const bound = new RegExp(`^\\s*\\d+: [0-9A-F]+:${ports[path].toString(16).toUpperCase()} `, "m");
  while (!bound.test(netns.run(() => readFileSync("/proc/thread-self/net/udp", "utf8"))))
    await sleep(10, undefined, { signal: limit });
}

/** Ends a child process and waits until it is gone. */
export async function ended(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}
