import { acquireLease, type LeaseAttributes, parseLeaseValue } from "@loden/lease";
import { createSeededRandom, interceptStore, ManualClock } from "@loden/lease/testing";
import { formatSubnet } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { createMemoryLeaseStore, createMemoryStorage, type MemoryStorage } from "./index.ts";

// 255 subnets that hosts can have: the first of the 256 is left out.
const ipv4 = '{"Network":"10.5.0.0/16","SubnetLen":24}';
const dualStack =
  '{"Network":"10.5.0.0/16","SubnetLen":24,"EnableIPv6":true,"IPv6Network":"fd00:5::/56","IPv6SubnetLen":64}';
const subnetCount = 255;

describe("acquireLease() raced by many hosts with random delays at every call", () => {
  const runs = [
    ["random", ipv4],
    ["sequential", ipv4],
    ["random", dualStack],
    ["sequential", dualStack],
  ] as const;
  const seeds = [1, 2, 3];

  test.for(runs.flatMap(([strategy, config]) => seeds.map((seed) => ({ strategy, config, seed }))))(
    "gives each of 255 hosts one of 255 subnets: $strategy, seed $seed, $config",
    async ({ strategy, config, seed }) => {
      const { subnets, errors } = await race({ hosts: subnetCount, strategy, config, seed });
      expect(errors).toEqual([]);
      expectNoOverlap(subnets);
      expect(subnets).toHaveLength(subnetCount);
    },
  );

  test.for(seeds)("gives exactly the surplus of 300 hosts ERR_SUBNET_EXHAUSTED: seed %d", async (seed) => {
    const { subnets, errors } = await race({ hosts: 300, strategy: "random", config: dualStack, seed });
    expectNoOverlap(subnets);
    expect(subnets).toHaveLength(subnetCount);
    expect(errors.map((error) => (error as { code?: unknown }).code)).toEqual(
      Array.from({ length: 300 - subnetCount }, () => "ERR_SUBNET_EXHAUSTED"),
    );
  });

  test.for(seeds)(
    "gives every host its own subnet back when all come again at once: seed %d",
    async (seed) => {
      const storage = createMemoryStorage({ config: ipv4 });
      const { subnets, errors } = await race({ hosts: 200, strategy: "random", config: ipv4, seed, storage });
      expect(errors).toEqual([]);
      // Each host comes back after a restart and finds its own subnet, however many others ask.
      const again = await race({ hosts: 200, strategy: "random", config: ipv4, seed: seed + 100, storage });
      expect(again.errors).toEqual([]);
      expect(again.subnets).toEqual(subnets);
    },
  );
});

async function race(options: {
  hosts: number;
  strategy: "random" | "sequential";
  config: string;
  seed: number;
  storage?: MemoryStorage;
}): Promise<{ subnets: string[]; errors: unknown[] }> {
  const { hosts, strategy, config, seed } = options;
  const clock = new ManualClock();
  const storage = options.storage ?? createMemoryStorage({ config, clock });
  const random = createSeededRandom(seed);
  const results = await clock.runUntil(
    Promise.allSettled(
      Array.from({ length: hosts }, (_, index) => {
        const hop = (): Promise<void> => hopAtRandom(random, clock);
        const store = interceptStore(createMemoryLeaseStore(storage), { before: hop, after: hop });
        return acquireLease(store, { attributes: host(index), strategy, random, clock });
      }),
    ),
  );
  const leases = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.lease] : []));
  const errors = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  const stored = storage.entries().map((entry) => entry.key);
  expect(stored).toHaveLength(leases.length);
  return { subnets: leases.map((lease) => formatSubnet(lease.subnet)), errors };
}

/** Lets others go first: not at all, for some microtasks, or for some time. */
async function hopAtRandom(random: () => number, clock: ManualClock): Promise<void> {
  const choice = random();
  if (choice < 0.3) return;
  if (choice > 0.7) return clock.sleep(1 + Math.floor(random() * 5));
  for (let hops = Math.floor(random() * 20); hops > 0; hops -= 1) await Promise.resolve();
}

function expectNoOverlap(subnets: readonly string[]): void {
  // All prefixes of a family have one length, so they overlap only when they are equal.
  const prefixes = subnets.flatMap((subnet) => subnet.split(" "));
  expect(new Set(prefixes).size).toBe(prefixes.length);
}

function host(index: number): LeaseAttributes {
  return parseLeaseValue(`{"PublicIP":"192.0.${index >> 8}.${index & 255}"}`);
}
