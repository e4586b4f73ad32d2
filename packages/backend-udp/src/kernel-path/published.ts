import type { LeaseAttributes } from "@loden/lease";

/** What a host's kernel takes off by itself: everything, or TCP's bare acknowledgements. */
export type Decapsulates = "all" | "acks";

/**
 * Adds to what a host publishes what its kernel takes off, as `{"Decapsulates":"all"}` in `BackendData`. flannel's udp backend writes nothing there, and
 * reads nothing.
 *
 * @param attributes without it. @param decapsulates what it takes; undefined when it takes nothing.
 */
export function publishDecapsulates(
  attributes: LeaseAttributes,
  decapsulates: Decapsulates | undefined,
): LeaseAttributes {
  return decapsulates === undefined
    ? attributes
    : { ...attributes, backendData: { Decapsulates: decapsulates } };
}

/**
 * Reads what {@link publishDecapsulates} wrote. What else is there means nothing.
 *
 * @param attributes what a host publishes.
 */
export function readDecapsulates({ backendData }: LeaseAttributes): Decapsulates | undefined {
  if (typeof backendData !== "object" || backendData === null || !("Decapsulates" in backendData))
    return undefined;
  const { Decapsulates: said } = backendData;
  return said === "all" || said === "acks" ? said : undefined;
}
