/**
 * Linux TUN devices: packets from the kernel's routes in this process, and packets of this process on the kernel's routes.
 *
 * @example Count the packets of a device
 * ```ts
 * import { openTun } from "@loden/tun";
 *
 * using tun = openTun({ name: "demo%d", mtu: 1400 });
 * tun.setUp(true);
 * for await (const packet of tun.packets({ signal: AbortSignal.timeout(1000) })) console.log(tun.name, packet.length);
 * ```
 *
 * @module
 */
export { createTunQueue, type TunQueueOptions } from "./create-tun-queue.ts";
export { openTun, type OpenTunOptions } from "./open-tun.ts";
export type { PacketsOptions, TunDevice, TunStats } from "./tun-device.ts";
export type { TunOffloads } from "./tun-offloads.ts";
export type { TunQueue } from "./tun-queue.ts";
