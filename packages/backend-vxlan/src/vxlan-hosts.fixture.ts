// Hosts of `openTestHosts` with a VXLAN backend each: what the kernel tests of this package share.
import { spawnSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Backend, BackendEvent, Underlay } from "@loden/backend";
import type { Lease } from "@loden/lease";
import type { Netns } from "@loden/netns";
import type { TestHost } from "@loden/rtnetlink/testing";
import { type NetworkConfig, parseNetworkConfig } from "@loden/subnet";
import { openVxlanBackend, type VxlanBackendOptions } from "./index.ts";

/** The overlay of the tests, with one family and with both. */
export const networks: Readonly<Record<"ipv4" | "dual", NetworkConfig>> = {
  ipv4: parseNetworkConfig('{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}'),
  dual: parseNetworkConfig(
    '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan"}}',
  ),
};

/** A host that has joined. */
export interface VxlanHost {
  readonly host: TestHost;
  readonly backend: Backend;
  /** What it has published at first. */
  readonly lease: Lease;
}

/** The underlay of a host. */
export function underlayOf({ ipv4, ipv6 }: TestHost, families: "ipv4" | "ipv6" | "both" = "both"): Underlay {
  return {
    link: "eth0",
    mtu: 1500,
    ...(families !== "ipv6" && { ipv4 }),
    ...(families !== "ipv4" && { ipv6 }),
  };
}

/** Joins one host; its backend is closed with the stack. */
export async function joinHost(
  undo: AsyncDisposableStack,
  host: TestHost,
  options: Partial<VxlanBackendOptions> = {},
): Promise<VxlanHost> {
  const { netns } = host;
  const backend = undo.use(await openVxlanBackend({ netns, underlay: underlayOf(host), ...options }));
  const { enableIPv4 = true, enableIPv6 = false } = options;
  const subnet = {
    ...(enableIPv4 && { ipv4: host.subnet.ipv4 }),
    ...(enableIPv6 && { ipv6: host.subnet.ipv6 }),
  };
  const lease = { subnet, attributes: backend.attributes, expiresAt: undefined, revision: "1" };
  await backend.join({ lease, network: enableIPv6 ? networks.dual : networks.ipv4 });
  await host.container.setMtu(backend.mtu);
  return { host, backend, lease };
}

/** Joins all hosts and makes them peers. */
export async function joinHosts(
  undo: AsyncDisposableStack,
  hosts: readonly TestHost[],
  options: Partial<VxlanBackendOptions> | ((host: TestHost) => Partial<VxlanBackendOptions>) = {},
): Promise<[VxlanHost, VxlanHost, ...VxlanHost[]]> {
  const joined: VxlanHost[] = [];
  for (const host of hosts)
    joined.push(await joinHost(undo, host, typeof options === "function" ? options(host) : options));
  for (const { backend, lease } of joined)
    await backend.apply(joined.flatMap((other) => (other.lease === lease ? [] : other.lease)));
  return joined as [VxlanHost, VxlanHost, ...VxlanHost[]];
}

/** Collects what backends publish while the stack lives. */
export function collectEvents(undo: AsyncDisposableStack): BackendEvent[] {
  const events: BackendEvent[] = [];
  const listen = (event: unknown): void => void events.push(event as BackendEvent);
  subscribe("loden:backend", listen);
  undo.defer(() => void unsubscribe("loden:backend", listen));
  return events;
}

/** Runs a command of `ip`, `bridge` or another tool in a namespace and gives its lines, with single spaces. */
export function run(netns: Netns, command: string): string[] {
  const [program = "", ...words] = command.split(" ");
  const { status, stdout, stderr, error } = netns.run(() => spawnSync(program, words, { encoding: "utf8" }));
  if (status !== 0) throw new Error(`Cannot run ${command}: ${error?.message ?? stderr.trim()}`);
  return stdout
    .split("\n")
    .map((line) => line.replaceAll(/\s+/g, " ").trim())
    .filter((line) => line !== "");
}
