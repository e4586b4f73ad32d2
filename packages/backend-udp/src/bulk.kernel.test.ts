import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  connectSocket,
  constants,
  encodeSocketAddress,
  errno,
  getSocketOption,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { openTwoHosts, received, udpSocket, type Host, type TwoHosts } from "./two-hosts.ts";

// TCP and UDP in super-packets, with an underlay as wide as the hosts think, and with a narrower one.

const UDP_SEGMENT = 103;
const transferBytes = 20_000_000;

let hosts: TwoHosts;
let a: Host;
let b: Host;

beforeEach(async () => {
  hosts = await openTwoHosts();
  ({ a, b } = hosts);
});

afterEach(() => hosts[Symbol.asyncDispose]());

describe("openUdpBackend() carries super-packets", () => {
  test("a TCP transfer arrives as it was sent, in packets of the tunnel's size", async () => {
    const { sent, arrived } = await transfer(a, b);
    expect(arrived).toBe(sent);
    const { outbound } = a.backend.stats();
    expect(outbound.packets).toBeGreaterThanOrEqual(Math.floor(transferBytes / a.backend.mtu));
    expect(outbound.bytes).toBeGreaterThan(transferBytes);
    expect(b.backend.stats().inbound.dropped).toMatchObject({ badLength: 0, foreignSource: 0 });
  });

  test("datagrams of one message arrive one by one, in order", async () => {
    using receiver = udpSocket(b, 7000);
    using sender = udpSocket(a, 7001);
    setSocketOption(sender.fd, constants.SOL_UDP, UDP_SEGMENT, 1000);
    const data = Uint8Array.from({ length: 40_300 }, (_, i) => i >> 3);
    sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
    for (let at = 0; at < data.length; at += 1000) {
      expect(await received(receiver.fd)).toEqual(data.slice(at, at + 1000));
    }
  });
});

describe("openUdpBackend() over a path that is narrower than the tunnel needs", () => {
  beforeEach(async () => {
    for (const { netns } of [a, b]) {
      using rtnetlink = openRtnetlink({ netns });
      await rtnetlink.links.set("eth0", { mtu: 1300 });
    }
  });

  test("a packet that may not be fragmented is answered with the path's MTU", async () => {
    using socket = udpSocket(a, 7001);
    setSocketOption(socket.fd, constants.SOL_IP, constants.IP_RECVERR, 1);
    setSocketOption(socket.fd, constants.SOL_IP, constants.IP_MTU_DISCOVER, 2);
    connectSocket(socket.fd, encodeSocketAddress(b.inner.toBytes(), 7000));
    sendTo(socket.fd, new Uint8Array(1400));
    await expect(received(socket.fd)).rejects.toMatchObject({ errno: errno.EMSGSIZE });
    expect(getSocketOption(socket.fd, constants.SOL_IP, constants.IP_MTU)).toBe(1300 - 28);
    expect(a.backend.stats().outbound.dropped).toMatchObject({ tooBig: 1 });
  });

  test("a packet that may be fragmented crosses", async () => {
    using receiver = udpSocket(b, 7000);
    using sender = udpSocket(a, 7001);
    const data = Uint8Array.from({ length: 9000 }, (_, i) => i);
    sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
    expect(await received(receiver.fd)).toEqual(data);
  });

  test("a TCP transfer finds the path's MTU and arrives as it was sent", async () => {
    const { sent, arrived } = await transfer(a, b);
    expect(arrived).toBe(sent);
    expect(a.backend.stats().outbound.dropped.tooBig).toBeGreaterThan(0);
  });
});

/** Sends random bytes over TCP between two processes on the hosts; gives the hash at both ends. */
async function transfer(from: Host, to: Host): Promise<{ sent: string; arrived: string }> {
  const server = run(
    to,
    `const hash = require("node:crypto").createHash("sha256");
     const server = require("node:net").createServer((socket) => {
       socket.on("data", (data) => hash.update(data));
       socket.on("end", () => { socket.end(); server.close(); console.log(hash.digest("hex")); });
     }).listen(7100, "${to.inner.toString()}", () => console.log("ready"));`,
  );
  await once(server.stdout, "data");
  const arrived = text(server.stdout);
  const client = run(
    from,
    `const crypto = require("node:crypto");
     const data = crypto.randomBytes(${transferBytes});
     require("node:net").connect({ host: "${to.inner.toString()}", localAddress: "${from.inner.toString()}", port: 7100 }).end(data);
     console.log(crypto.createHash("sha256").update(data).digest("hex"));`,
  );
  const sent = text(client.stdout);
  return { sent: (await sent).trim(), arrived: (await arrived).trim() };
}

function run(host: Host, script: string) {
  return host.netns.run(() =>
    spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] }),
  );
}
