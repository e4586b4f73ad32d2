import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  KernelError,
  NotSupportedError,
  openSocket,
  receiveFrom,
  sendTo,
  watchReadable,
} from "@loden/linux";
import { createNetns } from "@loden/netns";
import { encodeIpv4, encodeUdp } from "@loden/packet";
import { openRtnetlink } from "@loden/rtnetlink";
import { untilRunning } from "@loden/rtnetlink/testing";
import { describe, expect, test } from "vitest";
import { type BpfHost, openBpfHost } from "./bpf-host.fixture.ts";
import { lacksTcx } from "./testing.ts";
import { Counted, createCounters, loadGuard } from "./guard-port.fixture.ts";
import {
  attachProgram,
  type AttachPoint,
  type BpfLink,
  type BpfProgram,
  createAssembler,
  loadProgram,
  readCounters,
  Verdict,
} from "./index.ts";

const CLOSED_PORT = 9;
const OPEN_PORT = 7000;
// include/uapi/linux/bpf.h
const BPF_TCX_INGRESS = 46;
const BPF_TCX_EGRESS = 47;
// IPv4 and UDP headers
const HEADERS = 28;

const attach = ({ netns, tun }: BpfHost, program: BpfProgram): BpfLink =>
  netns.run(() => attachProgram(program, tun.index));

const verdict = (at: AttachPoint, answer: number): BpfProgram => {
  const instructions = createAssembler().alu("mov", 0, answer).exit().assemble();
  return loadProgram({ name: "verdict", at, instructions, license: "Apache-2.0" });
};

/** What the kernel says of an attachment: the device's number, 0 when it is gone, and the place. */
const seen = ({ fd }: BpfLink): { ifindex: number; place: number } => {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  return {
    ifindex: Number(/^ifindex:\s+(\d+)$/m.exec(text)?.[1]),
    place: Number(/^attach_type:\s+(\d+)/m.exec(text)?.[1]),
  };
};

/** A datagram of 10.77.0.2 to a port of the host. */
const datagram = (port: number, payload: string): Uint8Array => {
  const ends = { source: 0x0a4d_0002, destination: 0x0a4d_0001 };
  const udp = encodeUdp({
    ...ends,
    sourcePort: 1,
    destinationPort: port,
    payload: new TextEncoder().encode(payload),
  });
  return encodeIpv4({ ...ends, protocol: 17, payload: udp });
};

const nextPayload = async (packets: AsyncIterator<Uint8Array>): Promise<string> => {
  const { value } = await packets.next();
  return Buffer.from((value as Uint8Array).subarray(HEADERS)).toString();
};

/** A socket of the host, and the payload of the next datagram that it gets. */
const openReceiver = ({ netns }: BpfHost, port: number): Disposable & { next(): Promise<string> } => {
  const fd = netns.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM | constants.SOCK_NONBLOCK));
  bindSocket(fd, encodeSocketAddress(Uint8Array.of(10, 77, 0, 1), port));
  const buffer = new Uint8Array(2048);
  const next = async (): Promise<string> => {
    for (;;) {
      const message = receiveFrom(fd, buffer);
      if (message !== undefined) return Buffer.from(buffer.subarray(0, message.length)).toString();
      await new Promise<void>((resolve) => {
        const watch = watchReadable(fd, () => {
          watch.close();
          resolve();
        });
      });
    }
  };
  return { next, [Symbol.dispose]: () => closeFd(fd) };
};

/** Sends a whole Ethernet frame out of a device. */
const sendFrame = (ifindex: number, frame: Uint8Array): void => {
  const AF_PACKET = 17;
  const fd = openSocket(AF_PACKET, constants.SOCK_RAW);
  // struct sockaddr_ll
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setInt32(4, ifindex, true);
  sendTo(fd, frame, address);
  closeFd(fd);
};

describe.skipIf(lacksTcx)("attachProgram() (needs Linux 6.6 and CAP_BPF)", () => {
  test("attachProgram() lets a program see, count and drop what leaves through a device, until close()", async () => {
    using host = await openBpfHost();
    using counters = createCounters();
    using program = loadGuard("egress", counters, CLOSED_PORT);
    using link = attach(host, program);
    expect(seen(link)).toEqual({ ifindex: host.tun.index, place: BPF_TCX_EGRESS });
    const packets = host.tun.packets();
    host.send(CLOSED_PORT, "to a closed port");
    host.send(OPEN_PORT, "first");
    expect(await nextPayload(packets)).toBe("first");
    expect(readCounters(counters, Counted.dropped)).toEqual([1n, BigInt(HEADERS + 16)]);
    expect(readCounters(counters, Counted.passed)).toEqual([1n, BigInt(HEADERS + 5)]);

    link.close();
    link.close();
    host.send(CLOSED_PORT, "open again");
    expect(await nextPayload(packets)).toBe("open again");
    expect(readCounters(counters, Counted.dropped)[0]).toBe(1n);
    expect(() => link.fd).toThrow(
      new TypeError(
        "Cannot use the attachment of the BPF program guard_egress: it is closed, expected an open one",
      ),
    );
  });

  test("attachProgram() lets a program see, count and drop what comes in through a device, until close()", async () => {
    using host = await openBpfHost();
    using closed = openReceiver(host, CLOSED_PORT);
    using open = openReceiver(host, OPEN_PORT);
    using counters = createCounters();
    using program = loadGuard("ingress", counters, CLOSED_PORT);
    using link = attach(host, program);
    expect(seen(link)).toEqual({ ifindex: host.tun.index, place: BPF_TCX_INGRESS });
    host.tun.send(datagram(CLOSED_PORT, "to a closed port"));
    host.tun.send(datagram(OPEN_PORT, "first"));
    expect(await open.next()).toBe("first");
    expect(readCounters(counters, Counted.dropped)).toEqual([1n, BigInt(HEADERS + 16)]);
    expect(readCounters(counters, Counted.passed)).toEqual([1n, BigInt(HEADERS + 5)]);

    link.close();
    host.tun.send(datagram(CLOSED_PORT, "open again"));
    expect(await closed.next()).toBe("open again");
    expect(readCounters(counters, Counted.dropped)[0]).toBe(1n);
  });

  test("attachProgram() keeps the program at work when program and map are closed", async () => {
    using host = await openBpfHost();
    const counters = createCounters();
    const program = loadGuard("egress", counters, CLOSED_PORT);
    using _ = attach(host, program);
    program.close();
    counters.close();
    const packets = host.tun.packets();
    host.send(CLOSED_PORT, "to a closed port");
    host.send(OPEN_PORT, "first");
    expect(await nextPayload(packets)).toBe("first");
  });

  test("attachProgram() puts a program after those that are there, which answer whether it is asked", async () => {
    using host = await openBpfHost();
    using first = createCounters();
    using last = createCounters();
    using guard = loadGuard("egress", first, CLOSED_PORT);
    using pass = verdict("egress", Verdict.pass);
    using other = loadGuard("egress", last, OPEN_PORT);
    using _ = attach(host, guard);
    const inBetween = attach(host, pass);
    using atTheEnd = attach(host, other);
    expect(seen(atTheEnd).ifindex).toBe(host.tun.index);
    const packets = host.tun.packets();
    host.send(CLOSED_PORT, "to a closed port");
    host.send(OPEN_PORT, "past the last one");
    expect(await nextPayload(packets)).toBe("past the last one");
    inBetween.close();
    host.send(OPEN_PORT, "to the last one");
    host.send(1, "to none");
    expect(await nextPayload(packets)).toBe("to none");
    expect(readCounters(first, Counted.passed)[0]).toBe(3n);
    expect(readCounters(first, Counted.dropped)[0]).toBe(1n);
    expect(readCounters(last, Counted.passed)[0]).toBe(1n);
    expect(readCounters(last, Counted.dropped)[0]).toBe(1n);
  });

  test("attachProgram() lets go when the device is deleted", async () => {
    using host = await openBpfHost();
    using program = verdict("egress", Verdict.next);
    const link = attach(host, program);
    await host.rtnetlink.links.delete("tun0");
    expect(seen(link).ifindex).toBe(0);
    link.close();
    expect(() => attach(host, program)).toThrow(
      `Cannot attach the BPF program verdict to the egress of device ${host.tun.index}: no such device (ENODEV from bpf)`,
    );
  });

  test("attachProgram() lets go when the process ends, whatever way", async () => {
    using host = await openBpfHost();
    const program = `
      import { attachProgram, createAssembler, loadProgram, Verdict } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
      const instructions = createAssembler().alu("mov", 0, Verdict.drop).exit().assemble();
      attachProgram(loadProgram({ name: "drop", at: "egress", instructions, license: "Apache-2.0" }), ${host.tun.index});
      console.log("attached");
      process.kill(process.pid, "SIGKILL");`;
    const words = ["--conditions=@loden/source", "--input-type=module", "--eval", program];
    const child = host.netns.run(() =>
      spawnSync(process.execPath, words, { encoding: "utf8", cwd: import.meta.dirname }),
    );
    expect(child).toMatchObject({ signal: "SIGKILL", stdout: "attached\n", stderr: "" });
    const packets = host.tun.packets();
    host.send(OPEN_PORT, "through");
    expect(await nextPayload(packets)).toBe("through");
  });

  test("attachProgram() sees frames with their Ethernet headers on an Ethernet device", async () => {
    using left = createNetns();
    using right = createNetns();
    using leftLinks = openRtnetlink({ netns: left });
    using rightLinks = openRtnetlink({ netns: right });
    const up = { mtu: 1500, up: true } as const;
    const peer = { name: "eth0", netns: right, ...up };
    await leftLinks.links.add({ name: "eth0", kind: "veth", ...up, peer });
    await untilRunning(leftLinks, "eth0");
    await untilRunning(rightLinks, "eth0");
    using counters = createCounters();
    const { index = 0 } = (await rightLinks.links.get("eth0")) ?? {};
    using program = loadGuard("ingress", counters, CLOSED_PORT, 14);
    using _ = right.run(() => attachProgram(program, index));
    const frame = Uint8Array.from([...new Uint8Array(12).fill(0xff), 8, 0, ...datagram(CLOSED_PORT, "x")]);
    const sender = (await leftLinks.links.get("eth0"))?.index ?? 0;
    left.run(() => sendFrame(sender, frame));
    await expect.poll(() => readCounters(counters, Counted.dropped)).toEqual([1n, BigInt(14 + HEADERS + 1)]);
  });

  test("attachProgram() throws a KernelError when the device is in another namespace, or has the program", async () => {
    using host = await openBpfHost();
    using program = verdict("ingress", Verdict.next);
    using elsewhere = createNetns();
    const code = (fn: () => unknown): unknown => {
      try {
        return fn();
      } catch (error) {
        return error instanceof KernelError ? error.code : error;
      }
    };
    expect(code(() => elsewhere.run(() => attachProgram(program, host.tun.index)))).toBe("ENODEV");
    using _ = attach(host, program);
    expect(code(() => attach(host, program))).toBe("EEXIST");
  });

  test("attachProgram() throws a NotSupportedError when the kernel doesn't know the place", async () => {
    using host = await openBpfHost();
    using program = verdict("egress", Verdict.next);
    const unknown = { ...program, at: "nowhere" } as unknown as BpfProgram;
    let caught: unknown;
    try {
      attach(host, unknown);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(NotSupportedError);
    expect(caught).toMatchObject({ leastKernel: "6.6", cause: { code: "EINVAL", syscall: "bpf" } });
  });
});
