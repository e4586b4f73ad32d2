/**
 * For tests of whatever programs the kernel: hosts with containers in namespaces of their own, joined by a switch, and traffic between them. No test
 * runner is imported. Needs root, or a user namespace's.
 *
 * @example Two hosts that are neighbours
 * ```ts
 * import assert from "node:assert/strict";
 * import { openTestHosts, ping } from "@loden/rtnetlink/testing";
 *
 * await using network = await openTestHosts({ hosts: 2 });
 * const [first, second] = network.hosts;
 * assert(await ping(first.netns, second.ipv4));
 * ```
 *
 * @module
 */
export { crossings } from "./testing/crossings.ts";
export {
  openTestHosts,
  type TestContainer,
  type TestHost,
  type TestHosts,
  type TestHostsOptions,
} from "./testing/open-test-hosts.ts";
export { type PingOptions, ping } from "./testing/ping.ts";
export { sendDatagram } from "./testing/send-datagram.ts";
export { transfer } from "./testing/transfer.ts";
export { untilRunning } from "./testing/until-running.ts";
