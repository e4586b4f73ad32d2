import { describe, expect, test } from "vitest";
import { encodeSocketAddress } from "@loden/linux";
import { createPacketMemory, type PacketBatch, Verdict } from "@loden/packet";
import { createUnknownSenders } from "./unknown-senders.ts";

describe("createUnknownSenders()", () => {
  test("createUnknownSenders() tells of each address once, whatever the port, with the source of its first packet", () => {
    const told: string[] = [];
    const look = createUnknownSenders(
      (...pair) => void told.push(pair.map((bytes) => bytes.join(".")).join(" ")),
    );
    look(
      batchOf([
        ["192.0.2.7", 1, Verdict.unknownSender, 4],
        ["192.0.2.7", 2, Verdict.unknownSender, 4],
      ]),
    );
    look(
      batchOf([
        ["192.0.2.7", 3, Verdict.unknownSender, 6],
        ["192.0.2.8", 1, Verdict.unknownSender, 4],
      ]),
    );
    expect(told).toEqual(["192.0.2.7 10.5.1.1", "192.0.2.8 10.5.1.1"]);
  });

  test("createUnknownSenders() tells of IPv6 addresses, and keeps them apart from IPv4", () => {
    const told: string[] = [];
    const look = createUnknownSenders(
      (...pair) => void told.push(pair.map((bytes) => bytes.join(".")).join(" ")),
    );
    const ipv6 = (last: number): string => `192.0.2.7.0.0.0.0.0.0.0.0.0.0.0.${last}`;
    look(
      batchOf([
        [ipv6(0), 1, Verdict.unknownSender, 6],
        ["192.0.2.7", 1, Verdict.unknownSender, 4],
      ]),
    );
    look(
      batchOf([
        [ipv6(0), 1, Verdict.unknownSender, 6],
        [ipv6(1), 1, Verdict.unknownSender, 6],
      ]),
    );
    const inner = `253${".0".repeat(14)}.1`;
    expect(told).toEqual([`${ipv6(0)} ${inner}`, "192.0.2.7 10.5.1.1", `${ipv6(1)} ${inner}`]);
  });

  test("createUnknownSenders() passes over packets that were dropped for another reason or not at all", () => {
    const told: unknown[] = [];
    const look = createUnknownSenders((...pair) => void told.push(pair));
    look(
      batchOf([
        ["192.0.2.7", 1, Verdict.pass, 4],
        ["192.0.2.7", 1, Verdict.foreignSource, 4],
      ]),
    );
    const batch = batchOf([["192.0.2.7", 1, Verdict.unknownSender, 4]]);
    batch.endpoints[0] = 0;
    look(batch);
    expect(told).toEqual([]);
  });

  test("createUnknownSenders() tells of 64 addresses and then of none", () => {
    let told = 0;
    const look = createUnknownSenders(() => void told++);
    for (let i = 0; i < 200; i++) look(batchOf([[`192.0.2.${i}`, 1, Verdict.unknownSender, 4]]));
    expect(told).toBe(64);
  });
});

/** A received batch: of each packet the sender's bytes, its port, the verdict, and the version inside. */
function batchOf(packets: readonly (readonly [string, number, number, 4 | 6])[]): PacketBatch {
  const batch = createPacketMemory({ batch: 8, slotBytes: 128, peers: 1 }).queues[0]?.inbound as PacketBatch;
  for (const [sender, port, verdict, version] of packets) {
    const packet = new Uint8Array(40);
    packet.set(version === 4 ? [0x45] : [0x60]);
    packet.set(
      version === 4 ? [10, 5, 1, 1] : [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
      version === 4 ? 12 : 8,
    );
    const i = batch.add(packet);
    const name = batch.namesOffset + 32 * i;
    batch.bytes.set(encodeSocketAddress(Uint8Array.from(sender.split(".").map(Number)), port), name);
    batch.endpoints[i] = name;
    batch.verdicts[i] = verdict;
  }
  return batch;
}
