import { createSeededRandom, ManualClock } from "@loden/lease/testing";
import { createSubnetAllocator, formatSubnet, parseNetworkConfig, type Subnet } from "@loden/subnet";
import { createMemoryStorage } from "../index.ts";
import { Chaos } from "./chaos.fixture.ts";
import { FlannelHost } from "./flannel-host.fixture.ts";
import { HoldChecker } from "./hold-checker.fixture.ts";
import { RunLog } from "./run-log.fixture.ts";
import { SimulatedNode } from "./simulated-node.fixture.ts";
import type { World } from "./world.fixture.ts";

/** How large a run is, and which. */
export interface SimulationOptions {
  /** Everything that happens follows from it. */
  readonly seed: number;
  /** How many hosts run the engine. */
  readonly nodes: number;
  /** How many times chaos strikes. */
  readonly steps: number;
  /** How many hosts write without compare. */
  readonly flannelHosts: number;
  /** The network as JSON; one subnet per node and some to spare. */
  readonly config: string;
  /** How long a step is at most, mostly, in milliseconds; every fifth may be much longer. */
  readonly stepMs: number;
}

/** What a run came to. */
export interface SimulationResult {
  /** How often each thing happened. */
  readonly counts: ReadonlyMap<string, number>;
  /** Of everything that happened, in order: equal for equal seeds. */
  readonly fingerprint: string;
  /** How much virtual time has passed. */
  readonly elapsedMs: number;
  /** How often a lease that was taken away by force showed as two holders of one subnet. */
  readonly forcedOverlaps: number;
}

const ttlMs = 600_000;
/** Everyone who can reach the store has a subnet and knows all others within this time. */
const settleMs = 120_000;

/**
 * Runs many nodes through chaos, all in virtual time, checks at every step, and in the end that all have converged.
 *
 * @param options - Size and seed.
 * @returns What happened.
 * @throws {Error} When something did not hold, with the seed and the end of the log.
 */
export async function runSimulation(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  return simulation.run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #clock = new ManualClock();
  readonly #random: () => number;
  readonly #log = new RunLog(this.#clock);
  readonly #nodes: SimulatedNode[] = [];
  readonly #flannelHosts: FlannelHost[] = [];
  readonly #world: World;
  readonly #checker: HoldChecker;
  readonly #chaos: Chaos;
  #writer: string | undefined;
  #failure: Error | undefined;

  constructor(options: SimulationOptions) {
    const { seed, config } = options;
    const clock = this.#clock;
    const random = createSeededRandom(seed);
    this.#options = options;
    this.#random = random;
    // A short history, so that watches that were cut off get snapshots too.
    const storage = createMemoryStorage({ config, clock, historyLength: options.nodes });
    this.#world = {
      clock,
      random,
      storage,
      ttlMs,
      writeAs: (name, write) => this.#writeAs(name, write),
      note: (who, what, detail) => this.#log.note(who, what, detail),
      changed: (node) => this.#checker.takeState(node),
      fail: (error) => {
        this.#failure ??= error;
      },
    };
    this.#checker = new HoldChecker(this.#world, this.#nodes);
    storage.listen(() => this.#checker.takeWrites(/^(?:operator|flannel)/.test(this.#writer ?? "")));
    const { nodes, flannelHosts } = options;
    for (let index = 0; index < nodes; index += 1) this.#nodes.push(new SimulatedNode(this.#world, index));
    for (let index = 0; index < flannelHosts; index += 1)
      this.#flannelHosts.push(new FlannelHost(this.#world, index));
    const targets = { nodes: this.#nodes, flannelHosts: this.#flannelHosts, checker: this.#checker };
    this.#chaos = new Chaos(this.#world, targets);
  }

  async run(): Promise<SimulationResult> {
    let step = 0;
    try {
      for (const node of this.#nodes) node.start();
      for (; step < this.#options.steps; step += 1) {
        this.#chaos.strike();
        await this.#advance(this.#drawStepMs());
      }
      this.#chaos.end();
      for (let passedMs = 0; passedMs < settleMs; passedMs += 1_000) {
        this.#chaos.actFlannel();
        await this.#advance(1_000);
      }
      this.#checkConverged();
      // Leases that nobody renews are gone by now.
      for (let passedMs = 0; passedMs < 2 * ttlMs; passedMs += 10_000) {
        this.#chaos.actFlannel();
        await this.#advance(10_000);
      }
      this.#checkConverged();
      this.#checkNothingLeft();
    } catch (error) {
      throw this.#describe(error as Error, step);
    } finally {
      for (const node of this.#nodes) node.crash({ losesDisk: true });
      await this.#clock.advance(0);
    }
    const { counts, fingerprint } = this.#log;
    const { forcedOverlaps } = this.#checker;
    return { counts, fingerprint, elapsedMs: this.#clock.elapsed(), forcedOverlaps };
  }

  async #advance(ms: number): Promise<void> {
    await this.#clock.advance(ms);
    if (this.#failure !== undefined) throw this.#failure;
    this.#checker.checkAll();
  }

  #drawStepMs(): number {
    const draw = this.#random();
    const factor = draw < 0.8 ? 1 : draw < 0.98 ? 10 : 100;
    return Math.floor(this.#random() * this.#options.stepMs * factor);
  }

  #writeAs<Result>(name: string, write: () => Result): Result {
    // What expires by now has expired before this.
    void this.#world.storage.revision;
    this.#writer = name;
    try {
      return write();
    } finally {
      this.#writer = undefined;
    }
  }

  /** Every node holds one subnet of its own and knows everybody else's lease. */
  #checkConverged(): void {
    const stored = this.#world.storage.entries().flatMap(({ lease }) => lease ?? []);
    const held = new Set<string>();
    for (const node of this.#nodes) {
      const { name, state, lease, peers } = node;
      if (state === "acquiring" && this.#isFull()) continue;
      if (state !== "held" || lease === undefined) throw new Error(`${name} is ${state} in the end`);
      const own = formatSubnet(lease.subnet);
      if (held.has(own)) throw new Error(`${name} holds ${own} as another does`);
      held.add(own);
      const wanted = stored.filter(({ subnet }) => formatSubnet(subnet) !== own);
      const difference = differ(describePeers(peers ?? []), describePeers(wanted));
      if (difference !== undefined) throw new Error(`${name} has the wrong peers in the end: ${difference}`);
    }
  }

  /** Claims that arrived after their callers had given up may fill the network until they expire. */
  #isFull(): boolean {
    const { config } = this.#world.storage;
    const allocator = createSubnetAllocator(parseNetworkConfig(config));
    for (const { subnet } of this.#world.storage.entries())
      if (subnet !== undefined) allocator.reserve(subnet);
    return allocator.available.ipv4 === 0n;
  }

  /** Beyond what the hosts hold there are only reservations. */
  #checkNothingLeft(): void {
    const homeless = this.#nodes.find(({ state }) => state !== "held");
    if (homeless !== undefined) throw new Error(`${homeless.name} is ${homeless.state} in the end`);
    const held = [
      ...this.#nodes.map(({ lease }) => lease?.subnet),
      ...this.#flannelHosts.map(({ subnet }) => subnet),
    ];
    const known = new Set(held.filter((subnet): subnet is Subnet => subnet !== undefined).map(formatSubnet));
    for (const { key, expiresAt, subnet } of this.#world.storage.entries()) {
      if (expiresAt === undefined || (subnet !== undefined && known.has(formatSubnet(subnet)))) continue;
      throw new Error(`${key} is in the store in the end and nobody holds it`);
    }
  }

  #describe(error: Error, step: number): Error {
    const { seed, nodes, steps } = this.#options;
    const where = `seed ${seed}, ${nodes} nodes, step ${step} of ${steps}`;
    const names = error.message.match(/node \d+|\d+\.\d+\.\d+\.\d+/g) ?? [];
    const lines = this.#log.tail(names).join("\n");
    const message = `${error.message}\n${where}; to replay it: LODEN_SEED=${seed}\n${lines}`;
    return new Error(message, { cause: error });
  }
}

function describePeers(
  leases: readonly { subnet: Subnet; attributes: { publicIP?: unknown } }[],
): Set<string> {
  return new Set(
    leases.map(({ subnet, attributes }) => `${formatSubnet(subnet)} of ${String(attributes.publicIP)}`),
  );
}

function differ(found: ReadonlySet<string>, wanted: ReadonlySet<string>): string | undefined {
  const extra = [...found].find((text) => !wanted.has(text));
  const missing = [...wanted].find((text) => !found.has(text));
  if (extra !== undefined) return `${extra} is not in the store`;
  return missing === undefined ? undefined : `${missing} is missing`;
}
