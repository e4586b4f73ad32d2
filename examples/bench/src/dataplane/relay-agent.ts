// One host's node of an overlay, as a process of its own, so that its processor time can be told from everybody else's.
import { openUdpBackend } from "@loden/backend-udp";
import type { Lease } from "@loden/lease";
import { parseNetworkConfig } from "@loden/subnet";
import { startClassicRelay } from "../classic/start-classic-relay.ts";
import {
  networks,
  otherSide,
  outerAddress,
  ports,
  type Side,
  subnetOf,
  TUNNEL_MTU,
  UNDERLAY_MTU,
} from "./addresses.ts";
import { serveAgent } from "./serve-agent.ts";

/** What the method `start` takes. */
export interface RelayOptions {
  readonly path: "loden" | "classic";
  readonly side: Side;
}

serveAgent({
  async start({ path, side }: RelayOptions): Promise<void> {
    await (path === "loden" ? startLoden(side) : startClassic(side));
  },
});

async function startLoden(side: Side): Promise<void> {
  const network = parseNetworkConfig(
    JSON.stringify({ Network: networks.loden.toString(), Backend: { Type: "udp", Port: ports.loden } }),
  );
  const backend = openUdpBackend({ underlay: { address: outerAddress(side), mtu: UNDERLAY_MTU } });
  await backend.join({ lease: leaseOf(side), network });
  await backend.apply([leaseOf(otherSide(side))]);
}

function leaseOf(side: Side): Lease {
  return {
    subnet: { ipv4: subnetOf("loden", side) },
    attributes: { publicIP: outerAddress(side), backendType: "" },
    expiresAt: undefined,
    revision: "1",
  };
}

async function startClassic(side: Side): Promise<void> {
  const hostOf = (which: Side) => ({ subnet: subnetOf("classic", which), endpoint: outerAddress(which) });
  await startClassicRelay({
    device: "classic0",
    own: hostOf(side),
    peers: [hostOf(otherSide(side))],
    network: networks.classic,
    port: ports.classic,
    mtu: TUNNEL_MTU,
  });
}
