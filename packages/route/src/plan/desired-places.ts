import { type DesiredState, type StateObject, stateObjects } from "../desired-state.ts";
import { sameObject } from "./same-object.ts";
import { stateKey } from "./state-key.ts";
import type { StateConflict } from "./state-plan.ts";

/** A desired state by place, which is worked out once and compared with what the kernel holds many times. */
export interface DesiredPlaces {
  /** The first object of each place, in the order in which they are made. */
  readonly byKey: ReadonlyMap<string, StateObject>;
  /** Objects whose place another has, and which are different. */
  readonly duplicates: readonly StateConflict[];
}

/** Sorts a desired state by place. */
export function placesOf(desired: DesiredState): DesiredPlaces {
  const byKey = new Map<string, StateObject>();
  const duplicates: StateConflict[] = [];
  for (const object of stateObjects(desired)) {
    const key = stateKey(object);
    const other = byKey.get(key);
    if (other === undefined) byKey.set(key, object);
    else if (!sameObject(object, other) || !sameObject(other, object))
      duplicates.push({ object, other, duplicate: true });
  }
  return { byKey, duplicates };
}
