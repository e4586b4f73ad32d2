/**
 * flannel's VXLAN backend in TypeScript: the kernel carries the packets, and its devices and entries are kept right.
 *
 * @example Open it on an underlay
 * ```ts
 * import { openVxlanBackend } from "@loden/backend-vxlan";
 * import { parseAddress } from "@loden/ip";
 *
 * await using backend = await openVxlanBackend({ underlay: { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.10") } });
 * backend.mtu; // 1450
 * ```
 *
 * @module
 */
export { clearVxlan } from "./clear-vxlan.ts";
export { openVxlanBackend, type VxlanBackendOptions } from "./open-vxlan-backend.ts";
export { formatVtepData, parseVtepData, type VtepData } from "./vtep-data.ts";
export { type VxlanDeviceNames, vxlanDeviceNames } from "./vxlan-settings.ts";
