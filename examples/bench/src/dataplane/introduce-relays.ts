import { otherSide, type Side } from "./addresses.ts";
import type { Published } from "./relay-agent.ts";
import type { Agent } from "./start-agent.ts";

/** A relay agent that has started. */
export interface StartedRelay {
  readonly agent: Agent;
  /** What it publishes, as it gave it; undefined for what publishes nothing and knows its peer, as classic does, and Loden of an older checkout. */
  readonly published: Published | undefined;
}

/**
 * Tells each relay what the other one publishes, as their leases would.
 *
 * @param relays those that are agents; one may be missing, as when the other host has socat.
 */
export async function introduceRelays(relays: Partial<Record<Side, StartedRelay>>): Promise<void> {
  for (const side of ["left", "right"] as const) {
    const relay = relays[side];
    if (relay?.published === undefined) continue;
    const peer: Published = { backendData: relays[otherSide(side)]?.published?.backendData };
    await relay.agent.call("meet", peer);
  }
}
