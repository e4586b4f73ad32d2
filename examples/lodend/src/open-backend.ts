import type { Backend, Underlay } from "@loden/backend";
import { familyNetwork, type NetworkConfig, parseBackendOptions } from "@loden/subnet";
import { ExitCode } from "./exit/exit-codes.ts";
import { LodendError } from "./exit/lodend-error.ts";
import type { Settings } from "./flags/read-settings.ts";
import type { UnderlayNeeds } from "./underlay/attach-underlay.ts";

/** What each backend is opened with. */
interface Place {
  readonly network: NetworkConfig;
  readonly underlay: Underlay;
  readonly settings: Settings;
}

/** By the network's `Backend.Type`. Only the one in use is loaded: a host has little memory to spare for the others. */
const backends: Readonly<Record<string, (place: Place) => Promise<Backend>>> = {
  async udp({ network, underlay, settings: { deviceName, peerSource, interface: addresses } }) {
    const { openUdpBackend } = await import("@loden/backend-udp");
    const { port } = parseBackendOptions(network, "udp");
    return openUdpBackend({ underlay, publicIP: addresses.publicIP, port, deviceName, peerSource });
  },
};

/**
 * Opens the backend that the network's configuration asks for. Touches nothing yet.
 *
 * @param network the configuration.
 * @param underlay the network that joins the hosts.
 * @param settings the flags.
 * @returns the backend; the caller closes it.
 * @throws {LodendError} with the config code for a type that this version does not have.
 * @throws {ConfigError} `ERR_NETWORK_CONFIG` for an option that is wrong.
 */
export async function openBackend(
  network: NetworkConfig,
  underlay: Underlay,
  settings: Settings,
): Promise<Backend> {
  checkNetwork(network);
  const open = backends[network.backend.type] as (typeof backends)[string];
  return await open({ network, underlay, settings });
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
  if (network.ipv4 === undefined) {
    throw new LodendError(
      ExitCode.config,
      `Cannot join the network: it is IPv6 alone, expected IPv4 too: the ${type} backend carries nothing else`,
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
