import { spawnSync } from "node:child_process";
import { encodeSocketAddress, KernelError, readFd, sendTo } from "@loden/linux";
import { createNetns } from "@loden/netns";
import { describe, expect, test } from "vitest";
import { icmpEcho, ipv4Packet, KernelHost, receive, sendDatagram } from "./kernel-host.fixture.ts";
import { openTun } from "./open-tun.ts";

const payload = Uint8Array.from({ length: 56 }, (_, i) => i);

const errorOf = (fn: () => unknown): KernelError => {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error("expected a KernelError, nothing was thrown");
};

/** Runs a program in a process of its own, entered through a command such as `unshare --user`. */
const runChild = (entry: readonly string[], program: string): string => {
  const source = `import { openTun } from ${JSON.stringify(import.meta.resolve("./index.ts"))};\n${program}`;
  const node = [process.execPath, "--conditions=@loden/source", "--input-type=module", "--eval", source];
  const [command = "", ...rest] = [...entry, ...node];
  const child = spawnSync(command, rest, { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return child.stdout.trim();
};

describe("openTun()", () => {
  test("openTun() opens the first free name of a template, and the name that is asked for", () => {
    using netns = createNetns();
    using first = openTun({ netns });
    using second = openTun({ netns });
    using named = openTun({ netns, name: "flannel.0" });
    expect([first.name, second.name, named.name]).toEqual(["loden0", "loden1", "flannel.0"]);
    expect(new Set([first.index, second.index, named.index]).size).toBe(3);
    const listed = netns.run(() => spawnSync("cat", ["/proc/net/dev"], { encoding: "utf8" })).stdout;
    for (const name of ["loden0:", "loden1:", "flannel.0:"]) expect(listed).toContain(name);
  });

  test("openTun() gives equal names in two namespaces when each is empty", () => {
    using here = createNetns();
    using there = createNetns();
    using a = openTun({ netns: here });
    using b = openTun({ netns: there });
    expect(a.name).toBe(b.name);
  });

  test("openTun() refuses names and MTUs that no device can have", () => {
    expect(() => openTun({ name: "sixteen-bytes-xx" })).toThrow(RangeError);
    expect(() => openTun({ mtu: 67 })).toThrow(RangeError);
    expect(() => openTun({ mtu: 65_536 })).toThrow(RangeError);
    expect(() => openTun({ mtu: 1400.5 })).toThrow(RangeError);
  });

  test("openTun() gives a descriptor for each queue and spreads flows over them when it has several", async () => {
    using host = new KernelHost({ queues: 2 });
    const { fds, fd } = host.tun;
    expect(fds).toHaveLength(2);
    expect(fd).toBe(fds[0]);
    for (let port = 1; port <= 32; port += 1) sendDatagram(host.udpSocket(2000 + port), payload, port);
    const counts = fds.map((queue) => {
      for (let count = 0; ; count += 1) if (readFd(queue, new Uint8Array(2048)) === undefined) return count;
    });
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(32);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(() => host.tun.packets()).toThrow(/several queues/);
    expect(() => host.tun.send(payload)).toThrow(TypeError);
  });

  test("openTun() refuses numbers of queues that the kernel has not", () => {
    for (const queues of [0, 257, 1.5]) expect(() => openTun({ queues })).toThrow(RangeError);
  });

  test("openTun() says EBUSY when the name is open already", () => {
    using netns = createNetns();
    using first = openTun({ netns, name: "taken" });
    const error = errorOf(() => openTun({ netns, name: first.name }));
    expect(error.code).toBe("EBUSY");
    expect(error.message).toMatch(/^Cannot open TUN device taken: .*another process has the device open/);
  });

  test("openTun() says EINVAL when the name belongs to another kind of device", () => {
    using netns = createNetns();
    const error = errorOf(() => openTun({ netns, name: "lo" }));
    expect(error.code).toBe("EINVAL");
    expect(error.detail).toContain("another kind");
  });

  test("openTun() says EPERM when the process has no privilege in the namespace", () => {
    const program = `try { openTun() } catch (error) { console.log(error.code, error.detail) }`;
    expect(runChild(["unshare", "--user"], program)).toMatch(
      /^(EPERM|EACCES) expected (root, or CAP_NET_ADMIN|.*access)/,
    );
  });

  test("openTun() says ENOENT and what to do when there is no /dev/net/tun", () => {
    const program = `try { openTun() } catch (error) { console.log(error.code, error.detail) }`;
    const entry = [
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "sh",
      "-c",
      'mount -t tmpfs none /dev/net && exec "$@"',
      "sh",
    ];
    expect(runChild(entry, program)).toMatch(/^ENOENT .*modprobe tun/);
  });

  test("openTun() gives the device no IPv6 address of its own when it is set up", () => {
    using netns = createNetns();
    using tun = openTun({ netns });
    expect(netns.getSysctl(`net/ipv6/conf/${tun.name}/addr_gen_mode`)).toBe("1");
    tun.setUp(true);
    const addresses = netns.run(() => spawnSync("cat", ["/proc/net/if_inet6"], { encoding: "utf8" })).stdout;
    expect(addresses).not.toContain(tun.name);
  });
});

describe("TunDevice", () => {
  test("mtu is what setMtu() or openTun() set", () => {
    using netns = createNetns();
    using tun = openTun({ netns, mtu: 1472 });
    expect(tun.mtu).toBe(1472);
    tun.setMtu(65_535);
    expect(tun.mtu).toBe(65_535);
    expect(() => tun.setMtu(0)).toThrow(RangeError);
    expect(tun.mtu).toBe(65_535);
  });

  test("isUp is what setUp() set", () => {
    using netns = createNetns();
    using tun = openTun({ netns });
    expect(tun.isUp).toBe(false);
    tun.setUp(true);
    tun.setUp(true);
    expect(tun.isUp).toBe(true);
    tun.setUp(false);
    expect(tun.isUp).toBe(false);
  });

  test("send() hands the kernel a ping that it answers, and packets() reads the answer", async () => {
    using host = new KernelHost();
    expect(host.tun.send(ipv4Packet(1, icmpEcho(8, payload)))).toBe(true);
    for await (const packet of host.tun.packets()) {
      expect(packet[9]).toBe(1);
      expect([...packet.subarray(12, 20)]).toEqual([10, 77, 0, 1, 10, 77, 0, 2]);
      expect(packet.subarray(20)).toEqual(icmpEcho(0, payload));
      break;
    }
  });

  test("send() reaches a kernel socket when it answers what packets() read", async () => {
    using host = new KernelHost();
    const ping = host.icmpSocket();
    sendTo(ping, icmpEcho(8, payload), encodeSocketAddress(Uint8Array.of(10, 77, 0, 2), 0));
    for await (const packet of host.tun.packets()) {
      expect(packet.subarray(20)).toEqual(icmpEcho(8, payload));
      host.tun.send(ipv4Packet(1, icmpEcho(0, payload)));
      break;
    }
    expect((await receive(ping)).subarray(20)).toEqual(icmpEcho(0, payload));
  });

  test("send() returns false and counts when the kernel refuses the packet", () => {
    using host = new KernelHost();
    expect(host.tun.send(new Uint8Array(0))).toBe(false);
    expect(host.tun.send(Uint8Array.of(0x00, 1, 2, 3))).toBe(false);
    host.tun.setUp(false);
    expect(host.tun.send(ipv4Packet(1, icmpEcho(8, payload)))).toBe(false);
    expect(host.tun.stats).toEqual({ overrun: 0, refused: 3 });
  });

  test("send(), mtu and setUp() say that the device is gone when it was deleted", () => {
    using host = new KernelHost();
    host.deleteDevice();
    const error = errorOf(() => host.tun.send(ipv4Packet(1, icmpEcho(8, payload))));
    expect(error.code).toBe("EBADFD");
    expect(error.detail).toBe("the device was deleted");
    expect(errorOf(() => host.tun.mtu).code).toBe("ENODEV");
    expect(errorOf(() => host.tun.setUp(true)).code).toBe("ENODEV");
  });

  test("close() removes the device, once, and everything else is then a TypeError", () => {
    using netns = createNetns();
    const tun = openTun({ netns, name: "once" });
    tun.close();
    tun.close();
    using again = openTun({ netns, name: "once" });
    tun.close();
    expect(again.mtu).toBe(1500);
    for (const use of [
      () => tun.mtu,
      () => tun.isUp,
      () => tun.setMtu(1400),
      () => tun.send(payload),
      () => tun.packets(),
    ]) {
      expect(use).toThrow(TypeError);
    }
  });
});
