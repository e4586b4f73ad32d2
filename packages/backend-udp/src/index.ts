/**
 * flannel's UDP backend in TypeScript: a TUN device whose packets travel, bare, inside UDP datagrams on port 8285.
 *
 * @example Open it on an underlay
 * ```ts
 * import { openUdpBackend } from "@loden/backend-udp";
 * import { parseAddress } from "@loden/ip";
 *
 * await using backend = openUdpBackend({
 *   underlay: { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.10") },
 * });
 * backend.mtu; // 1472
 * ```
 *
 * @module
 */
export type { KernelPathState } from "./kernel-path/open-kernel-path.ts";
export { DEFAULT_PORT, openUdpBackend, type UdpBackend, type UdpBackendOptions } from "./open-udp-backend.ts";
