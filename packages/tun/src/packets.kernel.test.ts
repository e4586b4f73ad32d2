import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { KernelHost, payloadOf, receive, sendDatagram, turnAround } from "./kernel-host.fixture.ts";

const numbered = (number: number): Uint8Array => new Uint8Array(new Uint32Array([number]).buffer);
const numberOf = (packet: Uint8Array): number =>
  new DataView(payloadOf(packet).slice().buffer).getUint32(0, true);

describe("TunDevice.packets()", () => {
  test("packets() yields what a kernel socket sends, in order, as copies of the caller's own", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    for (let i = 0; i < 100; i += 1) sendDatagram(socket, numbered(i));
    const kept: Uint8Array[] = [];
    for await (const packet of host.tun.packets()) {
      kept.push(packet);
      if (kept.length === 100) break;
    }
    expect(kept.map(numberOf)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(new Set(kept.map((packet) => packet.buffer)).size).toBe(100);
  });

  test("packets() and send() carry a packet of 65535 bytes both ways", async () => {
    using host = new KernelHost({ mtu: 65_535 });
    const socket = host.udpSocket(7000);
    const payload = Uint8Array.from({ length: 65_507 }, (_, i) => i * 7);
    sendDatagram(socket, payload);
    for await (const packet of host.tun.packets()) {
      expect(packet.length).toBe(65_535);
      host.tun.send(turnAround(packet));
      break;
    }
    expect(Buffer.compare(await receive(socket), payload)).toBe(0);
  });

  test("packets() keeps the oldest 256 and counts the others when the reader is slow", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const packets = host.tun.packets();
    sendDatagram(socket, numbered(0));
    await packets.next();
    for (let i = 1; i <= 300; i += 1) sendDatagram(socket, numbered(i));
    while (host.tun.stats.overrun < 44) await setImmediate();
    const read: number[] = [];
    for (let i = 0; i < 256; i += 1) {
      const step = await packets.next();
      if (step.done !== true) read.push(numberOf(step.value));
    }
    expect(read).toEqual(Array.from({ length: 256 }, (_, i) => i + 1));
    expect(host.tun.stats.overrun).toBe(44);
    sendDatagram(socket, numbered(301));
    const last = await packets.next();
    expect(last.done === true || numberOf(last.value)).toBe(301);
  });

  test("packets() answers many steps at once in order", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const packets = host.tun.packets();
    const steps = [packets.next(), packets.next(), packets.next()];
    for (let i = 0; i < 2; i += 1) sendDatagram(socket, numbered(i));
    const [first, second] = await Promise.all(steps.slice(0, 2));
    expect([first?.value, second?.value].map((packet) => numberOf(packet as Uint8Array))).toEqual([0, 1]);
    await packets.return?.();
    expect(await steps[2]).toEqual({ value: undefined, done: true });
  });

  test("packets() ends a pending step when the device is closed", async () => {
    using host = new KernelHost();
    const packets = host.tun.packets();
    const step = packets.next();
    host.tun.close();
    expect(await step).toEqual({ value: undefined, done: true });
    expect(await packets.next()).toEqual({ value: undefined, done: true });
  });

  test("packets() ends when the device is closed before the first step", async () => {
    using host = new KernelHost();
    const packets = host.tun.packets();
    host.tun.close();
    expect(await packets.next()).toEqual({ value: undefined, done: true });
  });

  test("packets() rejects once with the signal's reason when it is aborted", async () => {
    using host = new KernelHost();
    const abort = new AbortController();
    const packets = host.tun.packets({ signal: abort.signal });
    const step = packets.next();
    abort.abort("enough");
    await expect(step).rejects.toBe("enough");
    expect(await packets.next()).toEqual({ value: undefined, done: true });
  });

  test("packets() rejects with the signal's reason when it is aborted from the start", async () => {
    using host = new KernelHost();
    const reason = new Error("never mind");
    const packets = host.tun.packets({ signal: AbortSignal.abort(reason) });
    await expect(packets.next()).rejects.toBe(reason);
    const again = host.tun.packets();
    sendDatagram(host.udpSocket(7000), numbered(1));
    expect((await again.next()).done).toBe(false);
  });

  test("packets() can be started again after break, and gets what came in between", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    for (let round = 0; round < 3; round += 1) {
      sendDatagram(socket, numbered(round));
      for await (const packet of host.tun.packets()) {
        expect(numberOf(packet)).toBe(round);
        break;
      }
    }
  });

  test("packets() excludes a second iteration while one is under way", async () => {
    using host = new KernelHost();
    const early = host.tun.packets();
    const packets = host.tun.packets();
    const step = packets.next();
    expect(() => host.tun.packets()).toThrow(TypeError);
    await expect(early.next()).rejects.toThrow(TypeError);
    await packets.return?.();
    await step;
    expect(() => host.tun.packets()).not.toThrow();
  });

  test("packets() rejects with EBADFD, after what was read before, when the device is deleted", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const packets = host.tun.packets();
    sendDatagram(socket, numbered(1));
    expect((await packets.next()).done).toBe(false);
    const step = packets.next();
    host.deleteDevice();
    await expect(step).rejects.toMatchObject({ code: "EBADFD", detail: "the device was deleted" });
    expect(await packets.next()).toEqual({ value: undefined, done: true });
  });
});
