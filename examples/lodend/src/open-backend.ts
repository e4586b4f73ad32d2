import type { Backend, Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { familyNetwork, type NetworkConfig, parseBackendOptions } from "@loden/subnet";
import { ExitCode } from "./exit/exit-codes.ts";
import { LodendError } from "./exit/lodend-error.ts";
import type { UnderlayNeeds } from "./underlay/attach-underlay.ts";

/** Where a backend is opened, and what differs on this host from what the network's configuration says. */
export interface BackendPlace {
  /** By default the calling thread's own network namespace. */
  readonly netns?: Netns | undefined;
  readonly underlay: Underlay;
  /** What peers send to, where that is not the underlay's own address. */
  readonly publicIP?: Address | undefined;
  readonly publicIPv6?: Address | undefined;
  /** Name or template of the TUN device. */
  readonly deviceName?: string | undefined;
  /** What names of VXLAN devices begin with. */
  readonly vxlanPrefix?: string | undefined;
  /** Whether VXLAN devices may leave checksums to what is below; by default as the kernel has it. */
  readonly vxlanChecksumOffload?: boolean | undefined;
  /** Whose datagrams the udp backend takes. */
  readonly peerSource?: "strict" | "any" | undefined;
  /** Whether the udp backend lets the kernel pass plain packets on. */
  readonly kernelPath?: "auto" | "off" | undefined;
}

type OpenBackend = (network: NetworkConfig, place: BackendPlace) => Promise<Backend>;

/** By the network's `Backend.Type`. Only the one in use is loaded: a host has little memory to spare for the others. */
const backends: Readonly<Record<string, OpenBackend>> = {
  async udp(network, place) {
    const { openUdpBackend } = await import("@loden/backend-udp");
    return openUdpBackend({ ...place, ...parseBackendOptions(network, "udp") });
  },
  async vxlan(network, { netns, underlay, publicIP, publicIPv6, vxlanPrefix, vxlanChecksumOffload }) {
    const { openVxlanBackend, vxlanDeviceNames } = await import("@loden/backend-vxlan");
    const { enableIPv4, enableIPv6 } = network;
    const options = { ...parseBackendOptions(network, "vxlan"), enableIPv4, enableIPv6 };
    const deviceNames = vxlanDeviceNames(options.vni, vxlanPrefix);
    // Where it is on, that is because the kernel has it so: nothing to insist on.
    const checksumOffload = vxlanChecksumOffload === false ? false : undefined;
    const place = { netns, underlay, publicIP, publicIPv6 };
    return await openVxlanBackend({ ...options, ...place, deviceNames, checksumOffload });
  },
  async "host-gw"(network, { netns, underlay, publicIP, publicIPv6 }) {
    const { openHostGwBackend } = await import("@loden/backend-host-gw");
    const { enableIPv4, enableIPv6 } = network;
    return openHostGwBackend({ netns, underlay, publicIP, publicIPv6, enableIPv4, enableIPv6 });
  },
};

/**
 * Opens the backend that the network's configuration asks for. Touches nothing yet.
 *
 * @param network the configuration.
 * @param place the network that joins the hosts, and what the flags say.
 * @returns the backend; the caller closes it.
 * @throws {LodendError} with the config code for a type that this version does not have.
 * @throws {ConfigError} `ERR_NETWORK_CONFIG` for an option that is wrong.
 */
export async function openBackend(network: NetworkConfig, place: BackendPlace): Promise<Backend> {
  checkNetwork(network);
  const open = backends[network.backend.type] as OpenBackend;
  return await open(network, place);
}

/**
 * Checks that the network is one that this version can be a member of.
 *
 * @param network the configuration.
 * @throws {LodendError} with the config code where it is not.
 */
export function checkNetwork(network: NetworkConfig): void {
  const { type } = network.backend;
  if (!Object.hasOwn(backends, type)) {
    throw new LodendError(
      ExitCode.config,
      `Cannot join the network: its Backend.Type is "${type}", expected one that this lodend has: ${Object.keys(backends).join(", ")}`,
    );
  }
}

/**
 * Says which addresses the interface between hosts has to have. The udp backend carries both families over either; the others carry each over its own.
 *
 * @param network the configuration.
 * @returns sets of address families that serve, the best first.
 */
export function underlayNeeds(network: NetworkConfig): UnderlayNeeds {
  const enabled = ([4, 6] as const).filter((family) => familyNetwork(network, family) !== undefined);
  if (network.backend.type !== "udp") return [enabled];
  return enabled.includes(6) ? [[4, 6], [4], [6]] : [[4], [6]];
}
