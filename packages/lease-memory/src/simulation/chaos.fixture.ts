import {
  formatSubnetKey,
  formatLeaseValue,
  type LeaseAttributes,
  parseLeaseValue,
  parseSubnetKey,
} from "@loden/lease";
import { createSubnetAllocator, parseNetworkConfig, type Subnet } from "@loden/subnet";
import type { FlannelHost } from "./flannel-host.fixture.ts";
import type { HoldChecker } from "./hold-checker.fixture.ts";
import type { SimulatedNode } from "./simulated-node.fixture.ts";
import type { World } from "./world.fixture.ts";

const secondMs = 1_000;
const hourMs = 3_600_000;

/** Whom it can trouble. */
export interface ChaosTargets {
  readonly nodes: readonly SimulatedNode[];
  readonly flannelHosts: readonly FlannelHost[];
  readonly checker: HoldChecker;
}

/** Disturbs the network, one blow per call, until `end()` mends everything. */
export class Chaos {
  readonly #world: World;
  readonly #targets: ChaosTargets;
  readonly #blows: readonly { readonly weight: number; readonly strike: () => void }[];
  /** Keys that an operator wrote and has not deleted. */
  readonly #written = new Set<string>();
  readonly #releasing = new Set<SimulatedNode>();
  #isOver = false;

  /**
   * @param world - What to disturb.
   * @param targets - Whom.
   */
  constructor(world: World, targets: ChaosTargets) {
    this.#world = world;
    this.#targets = targets;
    this.#blows = [
      { weight: 20, strike: () => this.#cut(this.#pickNode()) },
      { weight: 14, strike: () => this.#crash(this.#pickNode()) },
      { weight: 4, strike: () => this.#stop(this.#pickNode()) },
      { weight: 10, strike: () => this.#jump(this.#pickNode()) },
      { weight: 6, strike: () => this.#suspend(this.#pickNode()) },
      { weight: 6, strike: () => this.#stallWatch(this.#pickNode()) },
      { weight: 5, strike: () => this.#lose(this.#pickNode()) },
      { weight: 5, strike: () => this.#pickNode().link.reset() },
      { weight: 4, strike: () => this.#cutFlannel() },
      { weight: 3, strike: () => this.#deleteLease() },
      { weight: 3, strike: () => this.#reserve() },
      { weight: 1, strike: () => this.#writeGarbage() },
      { weight: 4, strike: () => this.#undo() },
      { weight: 0.15, strike: () => this.#cutMany() },
      { weight: 20, strike: () => {} },
    ];
  }

  /** Something happens, or nothing. */
  strike(): void {
    this.actFlannel();
    let point = this.#world.random() * this.#blows.reduce((sum, { weight }) => sum + weight, 0);
    for (const { weight, strike } of this.#blows) {
      point -= weight;
      if (point < 0) return strike();
    }
  }

  /** Lets the flannel hosts write what they have to. */
  actFlannel(): void {
    const { flannelHosts } = this.#targets;
    const believed = flannelHosts.map(({ subnet }) => subnet).filter((subnet) => subnet !== undefined);
    const stored = this.#world.storage.entries().map(({ subnet }) => subnet);
    const taken = [...believed, ...stored.filter((subnet) => subnet !== undefined)];
    for (const host of flannelHosts) {
      const before = host.subnet;
      host.act(taken);
      if (before === undefined && host.subnet !== undefined) taken.push(host.subnet);
    }
  }

  /** Mends everything and boots everyone. Entries that were written by hand and can be read stay. */
  end(): void {
    this.#isOver = true;
    for (const node of this.#targets.nodes) {
      node.link.heal();
      node.link.stallWatch(false);
      node.link.lose(0);
      this.#resume(node);
      if (!this.#releasing.has(node)) node.start();
    }
    for (const host of this.#targets.flannelHosts) host.heal();
    for (const key of this.#written) if (!this.#isReadable(key)) this.#delete(key);
  }

  /** Short mostly, up to three times the time to live. */
  #drawMs(): number {
    const { random, ttlMs } = this.#world;
    const longest = random() < 0.5 ? 20 * secondMs : random() < 0.7 ? ttlMs / 2 : 3 * ttlMs;
    return Math.floor(random() * longest);
  }

  #later(ms: number, what: () => void): void {
    void this.#world.clock.sleep(ms).then(() => {
      if (!this.#isOver) what();
    });
  }

  #cut(node: SimulatedNode): void {
    const style = this.#world.random() < 0.5 ? "refusing" : "silent";
    this.#world.note(node.name, "cut", style);
    node.link.cut(style);
    this.#later(this.#drawMs(), () => {
      this.#world.note(node.name, "healed");
      node.link.heal();
      if (this.#world.random() < 0.5) node.link.reset();
    });
  }

  #cutMany(): void {
    for (const node of this.#targets.nodes) if (this.#world.random() < 0.5) this.#cut(node);
  }

  #crash(node: SimulatedNode): void {
    const losesDisk = this.#world.random() < 0.2;
    this.#world.note(node.name, "crashed", losesDisk ? "and loses its disk" : "");
    node.crash({ losesDisk });
    this.#later(this.#drawMs(), () => {
      if (!this.#releasing.has(node)) node.start();
    });
  }

  #stop(node: SimulatedNode): void {
    if (this.#releasing.has(node)) return;
    this.#world.note(node.name, "stopped");
    this.#releasing.add(node);
    void node.stopAndRelease({ losesDisk: this.#world.random() < 0.5 }).then(() => {
      this.#releasing.delete(node);
      if (this.#isOver) node.start();
      else this.#later(this.#drawMs(), () => node.start());
    });
  }

  #jump(node: SimulatedNode): void {
    const { random } = this.#world;
    const reachMs = [10 * secondMs, hourMs, 1_000 * hourMs][Math.floor(random() * 3)] ?? 0;
    const ms = Math.floor((random() * 2 - 1) * reachMs);
    this.#world.note(node.name, "jumped", `${ms} ms`);
    node.clock.jump(ms);
  }

  #suspend(node: SimulatedNode): void {
    this.#world.note(node.name, "suspended");
    node.link.suspend(true);
    this.#later(this.#drawMs(), () => this.#resume(node));
  }

  #resume(node: SimulatedNode): void {
    if (!node.clock.isSuspended) return;
    this.#world.note(node.name, "resumed");
    this.#targets.checker.wake(node);
    node.link.suspend(false);
  }

  #stallWatch(node: SimulatedNode): void {
    this.#world.note(node.name, "watch stalled");
    node.link.stallWatch(true);
    this.#later(this.#drawMs(), () => node.link.stallWatch(false));
  }

  #lose(node: SimulatedNode): void {
    this.#world.note(node.name, "loses answers");
    node.link.lose(0.2 + this.#world.random() * 0.8);
    this.#later(this.#drawMs(), () => node.link.lose(0));
  }

  #cutFlannel(): void {
    const host = this.#pick(this.#targets.flannelHosts);
    // One that is cut off already would come back early.
    if (host === undefined || host.isCut) return;
    host.cut();
    // Mostly long enough for its lease to expire.
    this.#later(this.#world.ttlMs * 2 * this.#world.random(), () => host.heal());
  }

  #deleteLease(): void {
    const entry = this.#pick(this.#world.storage.entries());
    if (entry !== undefined) this.#delete(entry.key);
  }

  #reserve(): void {
    if (this.#written.size >= this.#mostWritten()) return;
    const { random } = this.#world;
    const attributes = random() < 0.6 ? this.#pickNode().attributes : outsider(Math.floor(random() * 200));
    const isTaken = random() < 0.3;
    const held = isTaken ? this.#pick(this.#world.storage.entries())?.subnet : undefined;
    this.#put(held ?? this.#freeSubnet(), formatLeaseValue(attributes));
  }

  #writeGarbage(): void {
    if (this.#written.size >= this.#mostWritten()) return;
    const held = this.#world.random() < 0.5 ? this.#pick(this.#world.storage.entries())?.subnet : undefined;
    this.#put(held ?? this.#freeSubnet(), "{");
  }

  #undo(): void {
    const key = this.#pick([...this.#written]);
    if (key !== undefined) this.#delete(key);
  }

  #put(subnet: Subnet | undefined, value: string): void {
    if (subnet === undefined || this.#targets.flannelHosts.some((host) => isSame(host.subnet, subnet)))
      return;
    const key = formatSubnetKey(subnet);
    this.#world.note("operator", "writes", `${key} ${value}`);
    this.#written.add(key);
    this.#world.writeAs("operator", () => this.#world.storage.putText(key, value));
  }

  #delete(key: string): void {
    this.#world.note("operator", "deletes", key);
    this.#written.delete(key);
    this.#world.writeAs("operator", () => this.#world.storage.delete(key));
  }

  #isReadable(key: string): boolean {
    const subnet = parseSubnetKey(key);
    return subnet !== undefined && this.#world.storage.get(subnet)?.lease !== undefined;
  }

  #mostWritten(): number {
    return Math.ceil(this.#targets.nodes.length / 20);
  }

  #freeSubnet(): Subnet | undefined {
    const { storage, random } = this.#world;
    const allocator = createSubnetAllocator(parseNetworkConfig(storage.config), { random });
    for (const { subnet } of storage.entries()) if (subnet !== undefined) allocator.reserve(subnet);
    return allocator.available.ipv4 === 0n ? undefined : allocator.allocate();
  }

  #pickNode(): SimulatedNode {
    return this.#pick(this.#targets.nodes) as SimulatedNode;
  }

  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#world.random() * items.length)];
  }
}

function outsider(index: number): LeaseAttributes {
  return parseLeaseValue(`{"PublicIP":"203.0.113.${index}"}`);
}

function isSame(a: Subnet | undefined, b: Subnet): boolean {
  return a !== undefined && formatSubnetKey(a) === formatSubnetKey(b);
}
