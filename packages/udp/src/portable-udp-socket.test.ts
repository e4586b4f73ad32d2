import { networkInterfaces } from "node:os";
import { setImmediate } from "node:timers/promises";
import { parseAddress } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { openPortableUdpSocket } from "./open-portable-udp-socket.ts";
import type { PortableUdpSocket } from "./portable-udp-socket.ts";

const open = (address: string = "127.0.0.1"): Promise<PortableUdpSocket> =>
  openPortableUdpSocket({ address: parseAddress(address), port: 0 });

const ownAddresses = new Set(
  Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
);

const numbered = (number: number): Uint8Array => new Uint8Array(new Uint32Array([number]).buffer);
const numberOf = (data: Uint8Array): number => Buffer.from(data).readUInt32LE();

describe("openPortableUdpSocket()", () => {
  test.for(["127.0.0.1", "::1"])(
    "openPortableUdpSocket() sends and receives over %s",
    async (address, { skip }) => {
      if (!ownAddresses.has(address)) skip(`this machine has no ${address}`);
      await using here = await open(address);
      await using there = await open(address);
      await here.send(Buffer.from("hello"), there);
      for await (const datagram of there.datagrams()) {
        expect(Buffer.from(datagram.data).toString()).toBe("hello");
        expect(datagram.address.equals(here.address)).toBe(true);
        expect(datagram.port).toBe(here.port);
        break;
      }
    },
  );

  test("openPortableUdpSocket() rejects with EADDRINUSE when the port is taken", async () => {
    await using here = await open();
    await expect(openPortableUdpSocket(here)).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  test("openPortableUdpSocket() rejects with the signal's reason when it is aborted", async () => {
    const options = { address: parseAddress("127.0.0.1"), port: 0, signal: AbortSignal.abort("no") };
    await expect(openPortableUdpSocket(options)).rejects.toBe("no");
    await expect(openPortableUdpSocket({ ...options, port: -1 })).rejects.toThrow(RangeError);
  });
});

describe("PortableUdpSocket.datagrams()", () => {
  test("datagrams() keeps the oldest 256 and counts the others when the reader is slow", async () => {
    await using here = await open();
    await using there = await open();
    for (let i = 0; i < 300; i += 1) {
      await here.send(numbered(i), there);
      do await setImmediate();
      while (there.stats.overrun < i - 255);
    }
    expect(there.stats.overrun).toBe(44);
    const read: number[] = [];
    for await (const { data } of there.datagrams()) {
      read.push(numberOf(data));
      if (read.length === 256) break;
    }
    expect(read).toEqual(Array.from({ length: 256 }, (_, i) => i));
  });

  test("datagrams() ends pending and later steps when the socket is closed", async () => {
    const socket = await open();
    const datagrams = socket.datagrams();
    const step = datagrams.next();
    await socket.close();
    await socket.close();
    expect(await step).toEqual({ value: undefined, done: true });
    expect(await datagrams.next()).toEqual({ value: undefined, done: true });
    expect(await socket.datagrams().next()).toEqual({ value: undefined, done: true });
    await expect(socket.send(numbered(0), socket)).rejects.toThrow(TypeError);
  });

  test("datagrams() rejects once with the signal's reason when it is aborted", async () => {
    await using socket = await open();
    const abort = new AbortController();
    const datagrams = socket.datagrams({ signal: abort.signal });
    const step = datagrams.next();
    abort.abort("enough");
    await expect(step).rejects.toBe("enough");
    expect(await datagrams.next()).toEqual({ value: undefined, done: true });
    await expect(socket.datagrams({ signal: abort.signal }).next()).rejects.toBe("enough");
  });

  test("datagrams() excludes a second iteration while one is under way", async () => {
    await using here = await open();
    await using there = await open();
    const first = there.datagrams();
    const step = first.next();
    await expect(there.datagrams().next()).rejects.toThrow(TypeError);
    await here.send(numbered(1), there);
    expect(numberOf((await step).value?.data ?? new Uint8Array(4))).toBe(1);
    await first.return?.();
    const second = there.datagrams();
    await here.send(numbered(2), there);
    expect(numberOf((await second.next()).value?.data ?? new Uint8Array(4))).toBe(2);
  });

  test("send() rejects with EMSGSIZE when the datagram is too large, and the socket goes on", async () => {
    await using here = await open();
    await expect(here.send(new Uint8Array(65_508), here)).rejects.toMatchObject({ code: "EMSGSIZE" });
    await here.send(numbered(1), here);
    expect(numberOf((await here.datagrams().next()).value?.data ?? new Uint8Array(4))).toBe(1);
  });
});
