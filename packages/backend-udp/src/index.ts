/**
 * flannel's UDP backend in TypeScript: a TUN device whose packets travel, bare, inside UDP datagrams on port 8285.
 *
 * @example Open it on an underlay
 * ```ts
 * import { openUdpBackend } from "@loden/backend-udp";
 * import { parseAddress } from "@loden/ip";
 *
 * await using backend = openUdpBackend({ underlay: { address: parseAddress("192.0.2.10"), mtu: 1500 } });
 * backend.mtu; // 1472
 * ```
 *
 * @module
 */
export { DEFAULT_PORT, openUdpBackend, type UdpBackend, type UdpBackendOptions } from "./open-udp-backend.ts";
