/**
 * flannel's host-gw backend in TypeScript: a plain route to each peer's subnet through its host, for hosts on one link.
 *
 * @example Open it on an underlay
 * ```ts
 * import { openHostGwBackend } from "@loden/backend-host-gw";
 * import { parseAddress } from "@loden/ip";
 *
 * await using backend = openHostGwBackend({ underlay: { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.10") } });
 * backend.mtu; // 1500
 * ```
 *
 * @module
 */
export { clearHostGw } from "./clear-host-gw.ts";
export { openHostGwBackend, type HostGwBackendOptions } from "./open-host-gw-backend.ts";
