import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { encodeSocketAddress, KernelError, receiveFrom, sendTo } from "@loden/linux";
import { createNetns } from "@loden/netns";
import { parseAddress } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { KernelHost } from "./kernel-host.fixture.ts";
import { openUdpSocket } from "./open-udp-socket.ts";

const any = parseAddress("0.0.0.0");

const errorOf = (fn: () => unknown): KernelError => {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error("expected a KernelError, nothing was thrown");
};

/** What the datagrams that wait at a socket say. */
const sendersOf = (fd: number): number[] => {
  const senders: number[] = [];
  const buffer = new Uint8Array(16);
  while (receiveFrom(fd, buffer) !== undefined) senders.push(buffer[0] ?? -1);
  return senders;
};

const childSource = (program: string): string[] => [
  "--conditions=@loden/source",
  "--input-type=module",
  "--eval",
  `import { openUdpSocket } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
   import { parseAddress } from ${JSON.stringify(import.meta.resolve("@loden/ip"))};
   ${program}`,
];

describe("openUdpSocket()", () => {
  test("openUdpSocket() gives each sender's datagrams to one socket of a group when it shares a port", () => {
    using host = new KernelHost();
    const first = host.socket("127.0.0.1", { offload: true });
    const second = host.socket("127.0.0.1", { offload: true, port: first.port, shareWith: first });
    expect([second.port, second.segmentsPerSend]).toEqual([first.port, first.segmentsPerSend]);
    const to = encodeSocketAddress(first.address.toBytes(), first.port);
    for (let sender = 0; sender < 32; sender += 1) {
      const { fd } = host.socket();
      for (let i = 0; i < 3; i += 1) sendTo(fd, Uint8Array.of(sender), to);
    }
    const [here = [], there = []] = [first, second].map(({ fd }) => sendersOf(fd));
    expect([...here, ...there].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 96 }, (_, i) => Math.floor(i / 3)),
    );
    expect(here.filter((sender) => there.includes(sender))).toEqual([]);
    expect(Math.min(here.length, there.length)).toBeGreaterThan(0);
    // A group takes nobody in who does not know it.
    expect(errorOf(() => host.socket("127.0.0.1", { port: first.port })).code).toBe("EADDRINUSE");
  });

  test("openUdpSocket() binds the address and port that are asked for, in the namespace", () => {
    using host = new KernelHost();
    const socket = host.socket("127.0.0.1", { port: 8285 });
    expect([socket.address.toString(), socket.port]).toEqual(["127.0.0.1", 8285]);
    const table = host.netns.run(() => readFileSync("/proc/thread-self/net/udp", "utf8"));
    expect(table).toContain(" 0100007F:205D ");
    using other = new KernelHost();
    expect(other.socket("127.0.0.1", { port: 8285 }).port).toBe(8285);
  });

  test("openUdpSocket() tells which port the kernel chose when 0 is asked for", () => {
    using host = new KernelHost();
    const [a, b] = [host.socket("::1"), host.socket("::1")];
    expect(a.address.toString()).toBe("::1");
    expect(a.port).toBeGreaterThan(0);
    expect(a.port).not.toBe(b.port);
  });

  test("openUdpSocket() gives 8 MiB of buffers when nothing else is asked for", ({ skip }) => {
    const map = readFileSync("/proc/self/uid_map", "utf8");
    if (!/^\s*0\s+0\s+4294967295$/m.test(map))
      skip("in a user namespace the kernel grants net.core.rmem_max at most");
    using host = new KernelHost();
    expect(host.socket()).toMatchObject({ receiveBufferBytes: 8_388_608, sendBufferBytes: 8_388_608 });
  });

  test("openUdpSocket() gives the buffers that are asked for", () => {
    using host = new KernelHost();
    const options = { receiveBufferBytes: 65_536, sendBufferBytes: 32_768 };
    expect(host.socket("127.0.0.1", options)).toMatchObject(options);
  });

  test("openUdpSocket() takes what buffers it gets when the process has no privilege", () => {
    const program = `const socket = openUdpSocket({ address: parseAddress("127.0.0.1"), port: 0, receiveBufferBytes: 2 ** 29 });
      console.log(socket.receiveBufferBytes)`;
    const child = spawnSync("unshare", ["--user", process.execPath, ...childSource(program)], {
      encoding: "utf8",
    });
    expect(child.stderr).toBe("");
    expect(Number(child.stdout)).toBeGreaterThan(0);
    expect(Number(child.stdout)).toBeLessThan(2 ** 29);
  });

  test("openUdpSocket() binds IPv4 and IPv6 to all addresses side by side", () => {
    using host = new KernelHost();
    const four = host.socket("0.0.0.0", { port: 8285 });
    const six = host.socket("::", { port: 8285 });
    expect([four.port, six.port]).toEqual([8285, 8285]);
  });

  test("openUdpSocket() says EADDRINUSE and names the socket of this process when it clashes", () => {
    using host = new KernelHost();
    host.socket("0.0.0.0", { port: 8285 });
    const error = errorOf(() => host.socket("127.0.0.1", { port: 8285 }));
    expect(error.code).toBe("EADDRINUSE");
    expect(error.detail).toBe("this process has 0.0.0.0:8285");
    expect(error.message).toMatch(
      /^Cannot bind a UDP socket to 127.0.0.1:8285: .*: this process has 0.0.0.0:8285$/,
    );
    host.socket("::1", { port: 8285 });
    expect(errorOf(() => host.socket("::", { port: 8285 })).detail).toBe("this process has [::1]:8285");
  });

  test("openUdpSocket() names the other process when it clashes", async () => {
    using host = new KernelHost();
    const program = `openUdpSocket({ address: parseAddress("127.0.0.1"), port: 8285 }); console.log("open"); process.stdin.resume();`;
    const child = host.netns.run(() =>
      spawn(process.execPath, childSource(program), { stdio: ["pipe", "pipe", "inherit"] }),
    );
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      const error = errorOf(() => host.socket("0.0.0.0", { port: 8285 }));
      expect(error.detail).toBe(`node (process ${child.pid}) has 127.0.0.1:8285`);
    } finally {
      child.kill();
      await new Promise((resolve) => child.once("close", resolve));
    }
  });

  test("openUdpSocket() says EADDRNOTAVAIL when no device has the address", () => {
    using host = new KernelHost();
    const error = errorOf(() => host.socket("10.1.2.3", { port: 8285 }));
    expect(error.code).toBe("EADDRNOTAVAIL");
    expect(error.message).toContain("10.1.2.3:8285");
    expect(error.detail).toBe("no device in this network namespace has the address 10.1.2.3");
  });

  test("openUdpSocket() refuses ports and buffers that are none", () => {
    for (const port of [-1, 65_536, 1.5, Number.NaN])
      expect(() => openUdpSocket({ address: any, port })).toThrow(RangeError);
    for (const bytes of [0, -1, 2 ** 30, 1.5]) {
      expect(() => openUdpSocket({ address: any, port: 0, receiveBufferBytes: bytes })).toThrow(RangeError);
      expect(() => openUdpSocket({ address: any, port: 0, sendBufferBytes: bytes })).toThrow(RangeError);
    }
  });

  test("close() frees the port, once, and the socket outlives its namespace object", () => {
    const netns = createNetns();
    const socket = openUdpSocket({ netns, address: any, port: 8285 });
    socket.close();
    socket.close();
    using again = openUdpSocket({ netns, address: any, port: 8285 });
    netns.close();
    expect(again.port).toBe(8285);
  });
});
