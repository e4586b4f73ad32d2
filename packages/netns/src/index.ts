/**
 * Linux network namespaces: create, open, run inside, delete; and the sysctls of one.
 *
 * @example A namespace of one's own
 * ```ts
 * import { createNetns } from "@loden/netns";
 *
 * using host = createNetns();
 * host.setSysctl("net/ipv4/ip_forward", 1);
 * host.run(() => openWhateverShouldLiveThere());
 * ```
 *
 * @module
 */
export { createNetns, type CreateNetnsOptions } from "./create-netns.ts";
export { deleteNetns } from "./delete-netns.ts";
export { listNetns } from "./list-netns.ts";
export type { Netns } from "./netns.ts";
export { currentNetns, openNetns } from "./open-netns.ts";
