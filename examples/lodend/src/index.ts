/**
 * One host of a Loden overlay, wired over any lease store and any backend: what the `lodend` daemon runs, for embedding.
 *
 * @module
 */
export { desiredRules, type DesiredRulesSources } from "./firewall/desired-rules.ts";
export type { NodeEvent } from "./node-event.ts";
export { openBackend, type BackendPlace } from "./open-backend.ts";
export { runNode, type NodeOptions, type NodeState } from "./run-node.ts";
export { type KernelPathState, udpBackendOf } from "./udp-backend-of.ts";
export { readSubnetFile, writeSubnetFile } from "./write-subnet-file.ts";
