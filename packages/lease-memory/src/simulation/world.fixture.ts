import type { ManualClock } from "@loden/lease/testing";
import type { MemoryStorage } from "../index.ts";
import type { SimulatedNode } from "./simulated-node.fixture.ts";

/** What everything in a simulation shares. */
export interface World {
  /** The one time that passes for all. */
  readonly clock: ManualClock;
  /** The one source of chance. */
  readonly random: () => number;
  /** Where the leases are. */
  readonly storage: MemoryStorage;
  /** How long a lease lasts without renewal, in milliseconds. */
  readonly ttlMs: number;
  /** Runs a synchronous write with the name of whoever does it, for the checks. */
  writeAs<Result>(name: string, write: () => Result): Result;
  /** Takes a line for the log of the run, and counts it under `what`. */
  note(who: string, what: string, detail?: string): void;
  /** Told when a node's state has changed. */
  changed(node: SimulatedNode): void;
  /** Ends the run: something is wrong. */
  fail(error: Error): void;
}
