import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parsePrefix } from "@loden/ip";
import { constants, encodeSocketAddress, sendTo, setSocketOption } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { ping, received, udpSocket } from "./host-sockets.fixture.ts";
import { transferBytes } from "./transfer-bytes.fixture.ts";
import { openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

// Host b runs socat between a TUN device and an IPv6 UDP socket: a plain peer that is not ours.
//
//   host a: Loden              host b: socat, soc0
//   eth0 2001:db8::1 --- switch --- 2001:db8::2

const installed = spawnSync("socat", ["-V"]).status === 0;
if (!installed && process.env["CI"] === "true")
  throw new Error("socat is not installed: apt-get install socat");

describe.skipIf(!installed).each([4, 6] as const)("socat over IPv6, with IPv%d inside", (inner) => {
  let hosts: TwoHosts;
  let a: Host;
  let b: Host;
  let socat: ChildProcess;

  beforeEach(async () => {
    hosts = await openTwoHosts({ inner, outer: 6 });
    ({ a, b } = hosts);
    await b.backend.close();
    const [own, other] = [b, a].map(({ underlay }) => `[${underlay.toString()}]:8285`);
    const words = ["-b65536", "TUN,tun-name=soc0,iff-no-pi,iff-up", `UDP6-DATAGRAM:${other},bind=${own}`];
    socat = b.netns.run(() => spawn("socat", words, { stdio: "ignore" }));
    using rtnetlink = openRtnetlink({ netns: b.netns });
    while ((await rtnetlink.links.get("soc0"))?.up !== true) await new Promise(setImmediate);
    await rtnetlink.links.set("soc0", { mtu: a.backend.mtu });
    const destination = parsePrefix(inner === 4 ? "10.5.0.0/16" : "fd00:5::/48");
    await rtnetlink.routes.add({ destination, link: "soc0" });
    // It opens its socket after its device; until then what comes is refused.
    while (!boundPorts(b).includes("205D")) await new Promise(setImmediate);
  });

  afterEach(async () => {
    const exit = once(socat, "exit");
    socat.kill("SIGKILL");
    await exit;
    await hosts[Symbol.asyncDispose]();
  });

  test("openUdpBackend() and socat exchange pings, TCP and large UDP", async () => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(await ping(from, to.inner)).toBe(true);
      const { sent, arrived } = await transferBytes(from, to, 4_000_000);
      expect(arrived).toBe(sent);
      using receiver = udpSocket(to, 7000);
      using sender = udpSocket(from, 7001);
      setSocketOption(receiver.fd, constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, 2 ** 20);
      const data = Uint8Array.from({ length: 9000 }, (_, i) => i * 7);
      sendTo(sender.fd, data, encodeSocketAddress(to.inner.toBytes(), 7000));
      expect(await received(receiver.fd)).toEqual(data);
    }
  });
});

/** The ports of UDP sockets of IPv6, in hexadecimal. */
function boundPorts({ netns }: Host): (string | undefined)[] {
  const table = netns.run(() => readFileSync("/proc/thread-self/net/udp6", "utf8"));
  return table.split("\n").map((line) => /^\s*\d+: [0-9A-F]+:([0-9A-F]+)/.exec(line)?.[1]);
}
