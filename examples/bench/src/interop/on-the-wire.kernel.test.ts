import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UdpBackend } from "@loden/backend-udp";
import { openRtnetlink } from "@loden/rtnetlink";
import { otherSide, outerAddress } from "../dataplane/addresses.ts";
import { innerPackets, readCapture, startCapture, type WireFrame } from "./capture.ts";
import { moveBytes, moveDatagram, ping, provokeError } from "./exchange.ts";
import { joinAndCut } from "./join-and-cut.ts";
import { openLodenPair } from "./open-loden-pair.ts";

// Two hosts with Loden on a wire, where every frame fits and has its checksums. Each kind of traffic crosses both ways once, and what
// either host has sent is captured on its device.

const hasTshark = spawnSync("tshark", ["--version"]).status === 0;
if (!hasTshark && process.env["CI"] === "true")
  throw new Error("tshark is not installed: apt-get install tshark");

const sides = ["left", "right"] as const;
const directions = [
  ["left", "right"],
  ["right", "left"],
] as const;

/** Types of echo reply, unreachable, echo request and time exceeded. */
const icmpTypes = { 4: [0, 3, 8, 11], 6: [129, 1, 128, 3] } as const;

/** The kernel path is for IPv4 over IPv4; the others are the pump's whatever is set. */
const combinations = [
  { inner: 4, outer: 4, kernelPath: "auto" },
  { inner: 4, outer: 4, kernelPath: "off" },
  { inner: 6, outer: 4, kernelPath: "off" },
  { inner: 4, outer: 6, kernelPath: "off" },
  { inner: 6, outer: 6, kernelPath: "off" },
] as const;

describe.skipIf(!hasTshark).each(combinations)(
  "openUdpBackend() on the wire with IPv$inner over IPv$outer, kernel path $kernelPath",
  ({ inner: family, outer: underlay, kernelPath }) => {
    const files: string[] = [];
    let frames: readonly WireFrame[] = [];
    let folder: string;
    let state: UdpBackend["kernelPath"];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "loden-wire-"));
      await using undo = new AsyncDisposableStack();
      const { hosts, backends } = undo.use(
        await openLodenPair("wire", { inner: family, outer: underlay, kernelPath }),
      );
      state = backends.left.kernelPath;
      const captures = await Promise.all(
        sides.map((side) => {
          const own = outerAddress(side, underlay);
          const other = outerAddress(otherSide(side), underlay);
          return startCapture(hosts[side], { own, other }, join(folder, `${side}.pcap`), undo);
        }),
      );
      for (const [from, to] of directions) {
        const [sender, receiver] = [hosts[from], hosts[to]];
        await ping(sender, receiver);
        await moveBytes(sender, receiver, 2_000_000);
        await moveBytes(sender, receiver, 20_000, 100);
        for (const bytes of [64, 1400, 9000, 60_000]) await moveDatagram(sender, receiver, bytes);
        // The port is closed; the TTL ends at the receiver.
        for (const ttl of [64, 2]) await provokeError(sender, receiver, ttl);
      }
      // IPv4: from here on the fragments of a large datagram, which may be cut again, cross in two fragments each.
      for (const side of family === 4 ? sides : []) {
        using rtnetlink = openRtnetlink({ netns: hosts[side].netns });
        await rtnetlink.links.set(hosts[side].device, { mtu: 1300 });
      }
      if (family === 4) for (const [from, to] of directions) await moveDatagram(hosts[from], hosts[to], 9000);
      for (const capture of captures) files.push(await capture.end());
      frames = files.flatMap(readCapture).filter(({ protocols }) => !protocols.endsWith(":arp"));
    }, 120_000);

    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    test("tshark finds nothing malformed, and every checksum that is there right", () => {
      expect(frames.filter(({ malformed, checksums }) => malformed || !checksums)).toEqual([]);
    });

    test("the outer checksum is missing where the kernel path sends TCP's bare acknowledgements or the end of a piece, and nowhere else", ({
      skip,
    }) => {
      if (kernelPath === "auto" && !state.on && process.env["CI"] !== "true") skip(state.reason);
      expect(state).toEqual(
        kernelPath === "auto"
          ? { on: true, decapsulates: "acks", encapsulatesFor: "all" }
          : { on: false, reason: expect.any(String) },
      );
      const missing = frames.filter(({ outerMissing }) => outerMissing);
      if (kernelPath === "off") return expect(missing).toEqual([]);
      expect(missing.filter(({ tcpBytes }) => tcpBytes === undefined)).toEqual([]);
      expect(missing.filter(({ tcpBytes }) => tcpBytes === 0).length).toBeGreaterThanOrEqual(10);
      // A receiver gathers bulk by its checksums, so most of it has them.
      const bulk = frames.filter(({ tcpBytes }) => tcpBytes !== undefined && tcpBytes > 1000);
      expect(bulk.filter(({ outerMissing }) => outerMissing).length).toBeLessThan(bulk.length / 4);
    });

    test("the capture holds each kind of traffic from both hosts", () => {
      const count = (wanted: (frame: WireFrame) => boolean): number => frames.filter(wanted).length;
      expect(count(({ tcpBytes }) => tcpBytes !== undefined && tcpBytes > 1000)).toBeGreaterThan(2000);
      expect(count(({ tcpBytes }) => tcpBytes === 100)).toBeGreaterThan(300);
      for (const bytes of [64, 1400, 9000]) {
        expect(count(({ udpLengths }) => udpLengths.at(-1) === bytes + 8)).toBeGreaterThanOrEqual(2);
      }
      for (const type of icmpTypes[family])
        expect(count(({ icmpType }) => icmpType === type)).toBeGreaterThanOrEqual(2);
      const ipv4Fragments = (place: number): number => count(({ fragments }) => fragments[place] === true);
      const ipv6Fragments = count((frame) => frame.ipv6Fragments > 0);
      if (family === 4) expect(underlay === 4 ? ipv4Fragments(0) : ipv6Fragments).toBeGreaterThanOrEqual(24);
      const inner = family === 6 ? ipv6Fragments : ipv4Fragments(underlay === 4 ? 1 : 0);
      expect(inner).toBeGreaterThan(90);
      const [outside, inside] = [underlay, family].map((version) => (version === 4 ? "ip" : "ipv6"));
      // tshark names the dissector that was asked for, which passes IPv6 on.
      const layers = new RegExp(`:${outside}:udp:(ip:)?${inside}:`);
      expect(count(({ protocols }) => layers.test(protocols))).toBeGreaterThan(3000);
    });

    test("segmentPackets() gives back byte for byte what nextFrame() joined of the captured packets", () => {
      for (const file of files) {
        const packets = innerPackets(file);
        expect(packets.length).toBeGreaterThan(1500);
        const { frames: pieces, packets: again } = joinAndCut(packets);
        expect(pieces).toBeLessThan(packets.length / 2);
        expect(again.length).toBe(packets.length);
        for (const [i, packet] of again.entries())
          expect(Buffer.compare(packet, packets[i] ?? packet)).toBe(0);
      }
    });
  },
);
