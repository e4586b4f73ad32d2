import { once } from "node:events";
import { readFileSync } from "node:fs";
import { KernelError } from "@loden/linux";
import { createNetns } from "@loden/netns";
import { describe, expect, test } from "vitest";
import { icmpEcho, ipv4Packet } from "./kernel-host.fixture.ts";
import { openTunDuplex } from "./tun-duplex.ts";

const payload = Uint8Array.from({ length: 56 }, (_, i) => i);
const addresses = (netns: ReturnType<typeof createNetns>, file: string): string =>
  netns.run(() => readFileSync(`/proc/thread-self/net/${file}`, "utf8"));

//     stream --- fd of the TUN device | loden0 10.78.0.1/24, fd78::1/64 --- kernel
describe("openTunDuplex()", () => {
  test("openTunDuplex() has the shape of tuntap2", () => {
    using netns = createNetns();
    const tun = openTunDuplex({ netns });
    expect(tun).toMatchObject({ name: "loden0", mtu: 1500, isUp: false, isTun: true, isTap: false });
    expect([tun.ipv4, tun.ipv6]).toEqual([undefined, undefined]);
    tun.mtu = 1400;
    tun.ipv4 = "10.78.0.1/24";
    tun.ipv6 = "fd78::1/64";
    tun.isUp = true;
    expect(tun).toMatchObject({ mtu: 1400, ipv4: "10.78.0.1/24", ipv6: "fd78::1/64", isUp: true });
    expect(addresses(netns, "fib_trie")).toContain("10.78.0.1");
    expect(addresses(netns, "if_inet6")).toMatch(/^fd780000000000000000000000000001 \w+ 40 .*loden0$/m);
    tun.release();
  });

  test("ipv4 and ipv6 replace the address that was there", () => {
    using netns = createNetns();
    const tun = openTunDuplex({ netns });
    tun.isUp = true;
    tun.ipv4 = "10.78.0.1/24";
    tun.ipv4 = "10.79.0.0/32";
    tun.ipv6 = "fd78::1/64";
    tun.ipv6 = "fd79::1/128";
    expect(addresses(netns, "fib_trie")).toContain("10.79.0.0");
    expect(addresses(netns, "fib_trie")).not.toContain("10.78");
    expect(addresses(netns, "if_inet6")).toMatch(/^fd790000000000000000000000000001 \w+ 80 /m);
    expect(addresses(netns, "if_inet6")).not.toContain("fd78");
    tun.release();
  });

  test("ipv4 and ipv6 refuse what is no address, and keep the one before", () => {
    using netns = createNetns();
    const tun = openTunDuplex({ netns });
    tun.ipv4 = "10.78.0.1/24";
    expect(() => (tun.ipv4 = "10.78.0.1")).toThrow(SyntaxError);
    expect(() => (tun.ipv6 = "10.78.0.1/24")).toThrow(SyntaxError);
    expect(() => (tun.ipv6 = "ff02::1/64")).toThrow(KernelError);
    expect([tun.ipv4, tun.ipv6]).toEqual(["10.78.0.1/24", undefined]);
    tun.release();
  });

  test("write() reaches the kernel and data is its answer", async () => {
    using netns = createNetns();
    const tun = openTunDuplex({ netns });
    tun.ipv4 = "10.77.0.1/24";
    tun.isUp = true;
    tun.write(ipv4Packet(1, icmpEcho(8, payload)));
    tun.write(ipv4Packet(1, icmpEcho(8, payload.subarray(1))));
    const answers: Buffer[] = [];
    for await (const packet of tun) {
      answers.push(packet as Buffer);
      if (answers.length === 2) break;
    }
    expect(answers.map((packet) => packet.subarray(20))).toEqual(
      [payload, payload.subarray(1)].map((data) => Buffer.from(icmpEcho(0, data))),
    );
    expect(answers[0]).toBeInstanceOf(Buffer);
    expect(tun.destroyed).toBe(true);
  });

  test("write() drops what the kernel refuses and goes on", async () => {
    using netns = createNetns();
    const tun = openTunDuplex({ netns });
    tun.write(Buffer.from("this is no packet"));
    tun.end();
    await once(tun, "finish");
    expect(tun.errored).toBeNull();
    tun.release();
  });

  test("release() closes the device once, and ends the stream without an error", async () => {
    using netns = createNetns();
    const tun = openTunDuplex({ netns });
    tun.resume();
    const closed = once(tun, "close");
    tun.release();
    tun.release();
    await closed;
    expect(tun.errored).toBeNull();
    const again = openTunDuplex({ netns, name: "loden0" });
    expect(again.name).toBe("loden0");
    again.release();
  });
});
