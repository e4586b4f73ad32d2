/**
 * The contract between "who are the peers of an overlay" and "how do packets reach them".
 *
 * @example Drive any backend
 * ```ts
 * import type { Backend } from "@loden/backend";
 * import { acquireLease, followLeases, type LeaseStore } from "@loden/lease";
 *
 * async function run(backend: Backend, store: LeaseStore): Promise<void> {
 *   const { lease, network } = await acquireLease(store, { attributes: backend.attributes });
 *   await backend.join({ lease, network });
 *   for await (const { peers } of followLeases(store, { own: lease })) await backend.apply(peers);
 * }
 * ```
 *
 * @module
 */
export { publishBackendEvent, type BackendEvent } from "./backend-event.ts";
export type { Backend, BackendStats, CloseOptions, DirectionStats, Membership } from "./backend.ts";
export {
  createKernelBackend,
  type KernelDriver,
  type Published,
  type Wanted,
} from "./create-kernel-backend.ts";
export { leadsInto } from "./leads-into.ts";
export { hasRegularSubnet, leaveOutOverlaps, unfitSubnet, usableHost } from "./peer-fitness.ts";
export { createPeerReports, type SkippedPeer } from "./peer-reports.ts";
export {
  leaveOut,
  listPeerSubnets,
  type PeerSubnet,
  type PeerSubnetOptions,
  type PeerSubnets,
} from "./peer-subnets.ts";
export type { Underlay } from "./underlay.ts";
