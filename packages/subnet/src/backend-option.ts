import type { NetworkConfig } from "./network-config.ts";

/**
 * One raw value of the `Backend` object. The name matches in any case; of names that differ in case only, the last in the
 * text wins, as in flannel.
 *
 * @param config - The network config.
 * @param name - The key, such as `Port`.
 * @returns The value as JSON had it, or `undefined` when there is none.
 */
export function backendOption(config: Pick<NetworkConfig, "backend">, name: string): unknown {
  const lowerCase = name.toLowerCase();
  return Object.entries(config.backend.options).findLast(([key]) => key.toLowerCase() === lowerCase)?.[1];
}
