import { Worker } from "node:worker_threads";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { foldIpv6 } from "./index-key.ts";
import type { PacketAddress } from "./packet-address.ts";
import { attachPacketMemory, createPacketMemory, type PacketMemory } from "./packet-memory.ts";
import type { PacketQueue } from "./packet-queue.ts";
import type { Peer, PeerTable } from "./peer-table.ts";
import { PeerTableModel } from "./peer-table-model.fixture.ts";

// Two addresses that the index can't tell apart by their word.
const twins = [1n << 64n, BigInt(Math.imul(0x9e37_79b1, 0x9e37_79b1) >>> 0)];

test("foldIpv6() can be the same for two networks, which the table tells apart", () => {
  const [one = 0n, other = 0n] = twins;
  expect(other).not.toBe(one);
  expect(foldIpv6(other)).toBe(foldIpv6(one));
});

const small = { batch: 1, slotBytes: 128, replySlotBytes: 192 };

test("PeerTable finds what a scan for the longest prefix finds, through any updates", () => {
  fc.assert(
    fc.property(
      fc.array(command, { maxLength: 200 }),
      fc.array(address, { maxLength: 20 }),
      (commands, addresses) => {
        const { peers, queues } = createPacketMemory({ ...small, queues: 2, peers: 12 });
        const model = new PeerTableModel(12);
        for (const step of commands) {
          const { real, expected } = take(step, peers, queues, model);
          expect(real).toEqual(expected);
          for (const one of [...addresses, ...model.addresses()]) {
            const record = peers.find(one);
            expect(record < 0 ? undefined : peers.read(record)).toEqual(model.find(one));
            if (typeof one === "number") expect(peers.find(one | 0)).toBe(record);
            expect(peers.hasEndpoint(one)).toBe(model.hasEndpoint(one));
          }
          expect(peers.size).toBe(model.size);
          expect(sorted(peers.list())).toEqual(sorted(model.list()));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("replaceAll() makes the difference and says how large it was", () => {
  fc.assert(
    fc.property(fc.array(peer, { maxLength: 12 }), fc.array(peer, { maxLength: 12 }), (first, second) => {
      const { peers } = createPacketMemory({ ...small, peers: 12 });
      const model = new PeerTableModel(12);
      for (const wanted of [first, second])
        expect(peers.replaceAll(wanted)).toEqual(model.replaceAll(wanted));
      expect(sorted(peers.list())).toEqual(sorted(model.list()));
      expect(peers.replaceAll(second)).toEqual({ added: 0, changed: 0, removed: 0 });
    }),
  );
});

test("replaceAll() ends at the same table when objects are given again, in another order, or several for one subnet", () => {
  const several = fc.array(peer, { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(
      several,
      fc.array(fc.array(fc.nat(7), { maxLength: 10 }), { maxLength: 5 }),
      (pool, lists) => {
        const { peers } = createPacketMemory({ ...small, peers: 12 });
        const model = new PeerTableModel(12);
        for (const numbers of lists) {
          const wanted = numbers.flatMap((number) => pool[number] ?? []);
          peers.replaceAll(wanted);
          model.replaceAll(wanted);
          expect(sorted(peers.list())).toEqual(sorted(model.list()));
        }
      },
    ),
  );
});

test("replaceAll() pauses between changes when there are many, and never when there are none", () => {
  const { peers } = createPacketMemory({ ...small, peers: 100 });
  const wanted = Array.from({ length: 100 }, (_, i) => subnet(i, i));
  const sizes: number[] = [];
  const replaceAll = (next: readonly Peer[]): number[] => {
    peers.replaceAll(next, () => sizes.push(peers.size));
    return sizes.splice(0);
  };
  // It looks at all that are to come, and then at all that are to go, before it changes any.
  expect(replaceAll(wanted)).toEqual([0, 0, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96]);
  expect(replaceAll(wanted)).toEqual([]);
  expect(replaceAll([])).toEqual([69, 37, 5]);
});

test("PeerTable holds its full capacity, and goes on through many more changes than it has entries", () => {
  const { peers } = createPacketMemory({ ...small, peers: 1000 });
  for (let i = 0; i < 1000; i++) expect(peers.set(subnet(i, i))).toBe("added");
  expect(() => peers.set(subnet(1000, 1))).toThrow(
    "Cannot set peer 10.3.232.0/24: the table is full with 1000 subnets",
  );
  for (let round = 1; round <= 20; round++) {
    for (let i = 0; i < 1000; i++) {
      expect(peers.delete(subnet((round - 1) * 1000 + i, 0))).toBe(true);
      expect(peers.set(subnet(round * 1000 + i, i))).toBe("added");
    }
  }
  for (let i = 0; i < 1000; i++) {
    expect(peers.read(peers.find(Number(subnet(20_000 + i, 0).network) + 7)).endpointAddress).toBe(
      subnet(0, i).endpointAddress,
    );
    expect(peers.find(subnet(19_000 + i, 0).network)).toBe(-1);
  }
});

test("set() changes nothing when the same peer is set again", () => {
  const { peers } = createPacketMemory({ ...small, peers: 4 });
  peers.set(subnet(1, 1));
  const record = peers.find(subnet(1, 1).network);
  expect(peers.set({ ...subnet(1, 1), network: Number(subnet(1, 1).network) + 5 })).toBe("unchanged");
  expect(peers.find(subnet(1, 1).network)).toBe(record);
});

test("set() publishes a ready-made sockaddr_in", () => {
  const { peers, bytes } = createPacketMemory({ ...small, peers: 4 });
  peers.set({ network: 0x0a000000, prefixLength: 8, endpointAddress: 0xc0a80102, endpointPort: 8285 });
  const at = peers.sockaddrOffset(peers.find(0x0a010203));
  expect([...bytes.subarray(at, at + 16)]).toEqual([
    2, 0, 0x20, 0x5d, 192, 168, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0,
  ]);
});

test("set() throws RangeError for numbers out of range and leaves the table alone", () => {
  const { peers } = createPacketMemory({ ...small, peers: 4 });
  const wrong: Partial<Peer>[] = [
    { prefixLength: 33 },
    { prefixLength: -1 },
    { network: 2 ** 32 },
    { network: -1 },
    { endpointAddress: 0.5 },
    { network: 2n ** 128n, prefixLength: 64 },
    { network: 0n, prefixLength: 129 },
    { endpointAddress: -1n },
    { endpointPort: 65_536 },
    { pathMtu: -1 },
  ];
  for (const fields of wrong) expect(() => peers.set({ ...subnet(1, 1), ...fields })).toThrow(RangeError);
  expect(peers.size).toBe(0);
  expect(peers.hasEndpoint(subnet(1, 1).endpointAddress)).toBe(false);
});

test("a record found inside an iteration stays as it is until leave(), whatever is set meanwhile", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(7), fc.nat(50), fc.boolean()), { maxLength: 120 }), (changes) => {
      const { peers, queues } = createPacketMemory({ ...small, queues: 2, peers: 8 });
      const [reader, busy] = queues as [PacketQueue, PacketQueue];
      for (let i = 0; i < 8; i++) peers.set(subnet(i, i));
      reader.enter();
      const seen = Array.from({ length: 8 }, (_, i) => peers.find(subnet(i, i).network));
      const before = seen.map((record) => peers.read(record));
      for (const [i, endpoint, passes] of changes) {
        if (endpoint === 50) peers.delete(subnet(i, 0));
        else orRefused(() => peers.set(subnet(i, endpoint)));
        // Another pump comes and goes: it must not free what the first one still holds.
        if (passes && busy.inside) busy.leave();
        else if (passes) busy.enter();
        expect(seen.map((record) => peers.read(record))).toEqual(before);
      }
      reader.leave();
      busy.leave();
      expect(peers.set(subnet(3, 77))).not.toBe("unchanged");
    }),
  );
});

test("set() throws when a pump stays inside for too long, and works again after leave()", () => {
  const { peers, queues } = createPacketMemory({ ...small, peers: 4 });
  queues[0]?.enter();
  let sets = 0;
  while (orRefused(() => peers.set(subnet(1, sets))) !== undefined) sets++;
  expect(sets).toBeGreaterThan(2 * 4);
  expect(peers.list()).toEqual([{ ...subnet(1, sets - 1), pathMtu: 0 }]);
  queues[0]?.leave();
  expect(peers.set(subnet(1, sets))).toBe("changed");
  expect(peers.hasEndpoint(subnet(1, sets - 1).endpointAddress)).toBe(false);
});

test("set() refuses rather than clean an index that a pump inside may still read", () => {
  const { peers, queues } = createPacketMemory({ ...small, peers: 4 });
  queues[0]?.enter();
  let sets = 0;
  while (orRefused(() => peers.set(subnet(sets, 1))) !== undefined) peers.delete(subnet(sets++, 1));
  // 16 entries: one cleaning into the generation that nobody has seen, and no second one. There are 72 records.
  expect(sets).toBeLessThan(32);
  queues[0]?.leave();
  expect(peers.set(subnet(sets, 1))).toBe("added");
});

test("an attached table reads and doesn't write", () => {
  const memory = createPacketMemory({ ...small, peers: 4 });
  memory.peers.set(subnet(1, 1));
  const { peers } = attachPacketMemory(memory.shared());
  expect(peers.list()).toEqual([{ ...subnet(1, 1), pathMtu: 0 }]);
  for (const write of [
    () => peers.set(subnet(2, 2)),
    () => peers.delete(subnet(1, 1)),
    () => peers.replaceAll([]),
  ]) {
    expect(write).toThrow(
      new TypeError("Cannot change peer table: the memory is attached, expected the memory's creator"),
    );
  }
});

test(
  "a reader in a worker finds only whole records while the table changes, and each peer that stays",
  { timeout: 60_000 },
  async () => {
    const memory = createPacketMemory({ ...small, peers: 64 });
    // Peer 0 stays. The others come, go and change; port and address of an endpoint always belong together.
    memory.peers.set(subnet(0, 0));
    const worker = startReader(memory);
    const result = new Promise<{ lookups: number; faults: string[] }>((resolve, reject) => {
      worker.on("error", reject);
      worker.on("message", (message: { ready?: true; lookups: number; faults: string[] }) => {
        if (message.ready !== true) resolve(message);
        else stop(memory, worker);
      });
    });
    const { lookups, faults } = await result;
    expect(faults).toEqual([]);
    expect(lookups).toBeGreaterThan(0);
  },
);

// Takes one step with the table and with the model.
function take(
  step: Step,
  peers: PeerTable,
  queues: readonly PacketQueue[],
  model: PeerTableModel,
): { real: unknown; expected: unknown } {
  if (step.type === "set")
    return { real: setOrFull(peers, queues, step.peer), expected: model.set(step.peer) };
  if (step.type === "delete") return { real: peers.delete(step.peer), expected: model.delete(step.peer) };
  if (step.type === "replaceAll" && !model.isTooMany(step.peers)) {
    retry(queues, () => peers.replaceAll(step.peers));
    model.replaceAll(step.peers);
  }
  const queue = step.type === "epoch" ? queues[step.queue] : undefined;
  if (queue?.inside === true) queue.leave();
  else queue?.enter();
  return { real: peers.size, expected: model.size };
}

function setOrFull(peers: PeerTable, queues: readonly PacketQueue[], one: Peer): string {
  try {
    return retry(queues, () => peers.set(one));
  } catch (error) {
    return String(error).includes("the table is full") ? "full" : String(error);
  }
}

// Does what the documentation says when no record is free: lets the pumps leave, and tries again.
function retry<T>(queues: readonly PacketQueue[], write: () => T): T {
  const result = orRefused(write);
  if (result !== undefined) return result;
  for (const queue of queues) queue.leave();
  return write();
}

function orRefused<T>(write: () => T): T | undefined {
  try {
    return write();
  } catch (error) {
    if (error instanceof RangeError && error.message.endsWith("expected pumps to leave their iteration"))
      return undefined;
    throw error;
  }
}

// Changes the table 300,000 times and then tells the reader to stop.
function stop(memory: PacketMemory, worker: Worker): void {
  let random = 1;
  for (let change = 0; change < 300_000; change++) {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    const i = 1 + ((random >>> 16) % 63);
    // Refused while the reader is inside for long.
    if ((random >>> 8) % 4 === 0) memory.peers.delete(subnet(i, 0));
    else orRefused(() => memory.peers.set(subnet(i, (random >>> 4) % 1000)));
  }
  worker.postMessage("stop");
}

function startReader(memory: PacketMemory): Worker {
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.module).then(({ attachPacketMemory }) => {
      const { peers, queues: [queue] } = attachPacketMemory(workerData.shared);
      const faults = [];
      let lookups = 0, stopped = false;
      parentPort.on("message", () => { stopped = true; });
      parentPort.postMessage({ ready: true });
      function iteration() {
        for (let round = 0; round < 200 && faults.length < 5; round++) {
          queue.enter();
          const found = [];
          for (let i = 0; i < 64; i++) {
            const record = peers.find(0x0a000000 + i * 256 + 9);
            if (record < 0 && i === 0) faults.push("peer 0 is missing");
            if (record >= 0) found.push([i, record, peers.read(record)]);
          }
          for (const [i, record, peer] of found) {
            const again = peers.read(record);
            lookups++;
            if (peer.network !== 0x0a000000 + i * 256) faults.push("record of another subnet: " + i + " " + JSON.stringify(peer));
            if (peer.endpointPort !== 1 + (peer.endpointAddress & 0xffff)) faults.push("half a record: " + JSON.stringify(peer));
            if (JSON.stringify(again) !== JSON.stringify(peer)) faults.push("changed inside: " + JSON.stringify([peer, again]));
          }
          queue.leave();
        }
        if (!stopped) setImmediate(iteration);
        else { parentPort.postMessage({ lookups, faults }); parentPort.close(); }
      }
      iteration();
    });`;
  const module = new URL("packet-memory.ts", import.meta.url).href;
  return new Worker(code, { eval: true, workerData: { module, shared: memory.shared() } });
}

// Peer i of 10.0.0.0/8, at an endpoint whose port follows from its address.
function subnet(i: number, endpoint: number): Peer {
  return {
    network: 0x0a00_0000 + i * 256,
    prefixLength: 24,
    endpointAddress: 0xc0a8_0000 + endpoint,
    endpointPort: 1 + endpoint,
  };
}

const address: fc.Arbitrary<PacketAddress> = fc.oneof(
  fc.nat(7).map((n) => 0x0a00_0000 + n),
  fc.nat(0xffff_ffff),
  fc.nat(7).map((n) => (0xfd00_0005n << 96n) + BigInt(n)),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
);
const reached = {
  endpointAddress: fc.constantFrom<PacketAddress[]>(
    0,
    1,
    0xc0a8_0001,
    0xffff_ffff,
    0n,
    1n,
    0x2001_0db8n << 96n,
  ),
  endpointPort: fc.constantFrom(8285, 8286),
  pathMtu: fc.constantFrom(0, 1472),
};
// few networks, many lengths: most commands overlap with an earlier one
const peer: fc.Arbitrary<Peer> = fc.oneof(
  fc.record({
    network: fc.constantFrom(0, 0x0a00_0000, 0x0a00_0004, 0x0a80_0000, 0xff00_0000, 0xffff_ffff),
    prefixLength: fc.constantFrom(0, 1, 8, 9, 24, 29, 30, 31, 32),
    ...reached,
  }),
  fc.record({
    network: fc.constantFrom(0n, 0xfd00_0005n << 96n, (0xfd00_0005n << 96n) + 4n, ...twins, 2n ** 128n - 1n),
    prefixLength: fc.constantFrom(0, 1, 16, 31, 32, 48, 63, 64, 65, 96, 127, 128),
    ...reached,
  }),
);
const command = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant("set" as const), peer }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("delete" as const), peer }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("replaceAll" as const),
      peers: fc.array(peer, { maxLength: 14 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("epoch" as const), queue: fc.nat(1) }) },
);

type Step = typeof command extends fc.Arbitrary<infer T> ? T : never;

function sorted(peers: Peer[]): Peer[] {
  const key = ({ network, prefixLength }: Peer): string => `${typeof network} ${network} ${prefixLength}`;
  return peers.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
