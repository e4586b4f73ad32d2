import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parsePrefix } from "@loden/ip";
import { encodeSocketAddress, sendTo } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { openTwoHosts, ping, received, udpSocket, type Host, type TwoHosts } from "./two-hosts.ts";

// Host b runs socat between a TUN device and a UDP socket: a plain peer that is not ours and speaks flannel's bytes.
//
//   host a: Loden, 10.5.1.1 on lo          host b: socat, 10.5.2.1 on lo, soc0
//   eth0 192.0.2.1 ------------- switch ------------- 192.0.2.2

const installed = spawnSync("socat", ["-V"]).status === 0;
if (!installed && process.env["CI"] === "true")
  throw new Error("socat is not installed: apt-get install socat");

describe.skipIf(!installed)("openUdpBackend() beside socat as a plain peer", () => {
  let hosts: TwoHosts;
  let a: Host;
  let b: Host;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    hosts = await openTwoHosts();
    ({ a, b } = hosts);
    await b.backend.close();
    const datagrams = `UDP4-DATAGRAM:${a.underlay.toString()}:8285,bind=${b.underlay.toString()}:8285`;
    const device = "TUN:10.5.2.0/32,tun-name=soc0,iff-no-pi,iff-up";
    children.push(b.netns.run(() => spawn("socat", ["-b", "65536", device, datagrams], { stdio: "ignore" })));
    using rtnetlink = openRtnetlink({ netns: b.netns });
    while ((await rtnetlink.links.get("soc0"))?.up !== true) await new Promise(setImmediate);
    await rtnetlink.links.set("soc0", { mtu: a.backend.mtu });
    await rtnetlink.routes.add({ destination: parsePrefix("10.5.0.0/16"), link: "soc0" });
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map(end));
    await hosts[Symbol.asyncDispose]();
  });

  test("ping crosses both ways", async () => {
    expect(await ping(a, b.inner)).toBe(true);
    expect(await ping(b, a.inner)).toBe(true);
  });

  test("TCP crosses both ways, and checksums are equal", async () => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(await moveBytes(children, from, to)).toEqual({ sent: expect.any(String), equal: true });
    }
  });

  test("large UDP crosses both ways", async () => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      using receiver = udpSocket(to, 7000);
      using sender = udpSocket(from, 7001);
      const data = Uint8Array.from({ length: 9000 }, (_, i) => i * 7);
      sendTo(sender.fd, data, encodeSocketAddress(to.inner.toBytes(), 7000));
      expect(await received(receiver.fd)).toEqual(data);
    }
  });
});

const receiver = `
  const hash = require("node:crypto").createHash("sha256");
  const server = require("node:net").createServer((socket) => {
    socket.on("data", (chunk) => hash.update(chunk)).on("end", () => { console.log(hash.digest("hex")); server.close(); socket.end(); });
  }).listen({ host: process.argv[1], port: 0 }, () => console.log(server.address().port));`;
const sender = `
  const { createHash, randomBytes } = require("node:crypto");
  const data = randomBytes(Number(process.argv[3]));
  console.log(createHash("sha256").update(data).digest("hex"));
  require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]) }).end(data);`;

/** Moves 8 MiB over TCP between two hosts; both ends are processes of their own, each in its host's namespace. */
async function moveBytes(
  children: ChildProcess[],
  from: Host,
  to: Host,
): Promise<{ sent: unknown; equal: boolean }> {
  const start = (host: Host, script: string, ...words: string[]) => {
    const child = host.netns.run(() =>
      spawn(process.execPath, ["-e", script, ...words], { stdio: ["ignore", "pipe", "ignore"] }),
    );
    children.push(child);
    return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  };
  const address = to.inner.toString();
  const atReceiver = start(to, receiver, address);
  const port: unknown = (await atReceiver.next()).value;
  const atSender = start(from, sender, address, String(port), String(8 * 1024 * 1024));
  const sent: unknown = (await atSender.next()).value;
  const arrived: unknown = (await atReceiver.next()).value;
  return { sent, equal: sent === arrived };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
