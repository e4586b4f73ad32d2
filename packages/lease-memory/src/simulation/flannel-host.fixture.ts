import { type LeaseAttributes, parseLeaseValue } from "@loden/lease";
import { createSubnetAllocator, formatSubnet, parseNetworkConfig, type Subnet } from "@loden/subnet";
import type { World } from "./world.fixture.ts";

/**
 * A host of the flannel kind: it claims a free subnet once, and from then on it writes its lease without asking, also
 * where the lease had expired meanwhile and the subnet is somebody else's by now.
 */
export class FlannelHost {
  readonly name: string;
  readonly attributes: LeaseAttributes;
  readonly #world: World;
  #subnet: Subnet | undefined;
  #isCut = false;
  #nextWrite = 0;

  /**
   * @param world - Where it lives.
   * @param index - Its number, from which its address follows.
   */
  constructor(world: World, index: number) {
    this.#world = world;
    this.name = `flannel ${index}`;
    this.attributes = parseLeaseValue(`{"PublicIP":"198.51.100.${index}"}`);
  }

  /** The subnet that it takes for its own. */
  get subnet(): Subnet | undefined {
    return this.#subnet;
  }

  /** Whether it is cut off from the store. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Cuts it off from the store: it goes on believing. */
  cut(): void {
    this.#isCut = true;
  }

  /** Mends that: it writes at once. */
  heal(): void {
    this.#isCut = false;
    this.#nextWrite = 0;
  }

  /**
   * Writes if it is time to.
   *
   * @param taken - What it must not choose when it has no subnet yet.
   */
  act(taken: readonly Subnet[]): void {
    const { clock, ttlMs, storage, random } = this.#world;
    if (this.#isCut || clock.elapsed() < this.#nextWrite) return;
    this.#nextWrite = clock.elapsed() + (ttlMs * 2) / 3;
    if (this.#subnet === undefined) {
      const allocator = createSubnetAllocator(parseNetworkConfig(storage.config), { random });
      for (const subnet of taken) allocator.reserve(subnet);
      this.#subnet = allocator.allocate();
    }
    const subnet = this.#subnet;
    const holder = storage.get(subnet)?.lease?.attributes.publicIP;
    const overwrites = holder !== undefined && !holder.equals(this.attributes.publicIP as typeof holder);
    this.#world.note(this.name, overwrites ? "overwrites" : "writes", formatSubnet(subnet));
    this.#world.writeAs(this.name, () => storage.putLease(subnet, this.attributes, { ttlMs }));
  }
}
