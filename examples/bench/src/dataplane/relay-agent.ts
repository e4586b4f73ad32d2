// One host's node of an overlay, as a process of its own, so that its processor time can be told from everybody else's.
import { openUdpBackend } from "@loden/backend-udp";
import type { AddressFamily } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { parseNetworkConfig } from "@loden/subnet";
import { startClassicRelay } from "../classic/start-classic-relay.ts";
import {
  networks,
  otherSide,
  outerAddress,
  ports,
  type Side,
  type SubnetPath,
  subnetOf,
  TUNNEL_MTU,
  UNDERLAY_MTU,
} from "./addresses.ts";
import { serveAgent } from "./serve-agent.ts";

/** What the method `start` takes. */
export interface RelayOptions {
  /** Whose network, addresses and port. */
  readonly path: SubnetPath;
  readonly side: Side;
  /** What carries the packets: the path's own, or the other one, since both speak the same bytes. */
  readonly software: "loden" | "classic";
}

serveAgent({
  async start({ path, side, software }: RelayOptions): Promise<void> {
    await (software === "loden" ? startLoden(path, side) : startClassic(path, side));
  },
});

async function startLoden(path: RelayOptions["path"], side: Side): Promise<void> {
  const [overlay, family] = [networks[path].toString(), familyOf(path)];
  const network = parseNetworkConfig(
    JSON.stringify({
      ...(family === 4
        ? { Network: overlay }
        : { EnableIPv4: false, EnableIPv6: true, IPv6Network: overlay }),
      Backend: { Type: "udp", Port: ports[path] },
    }),
  );
  const underlay = { link: "eth0", mtu: UNDERLAY_MTU, [`ipv${family}`]: outerAddress(side, family) };
  const backend = openUdpBackend({ underlay, port: ports[path] });
  await backend.join({ lease: leaseOf(path, side), network });
  await backend.apply([leaseOf(path, otherSide(side))]);
}

/** Inside and outside: no path mixes them. */
function familyOf(path: RelayOptions["path"]): AddressFamily {
  return networks[path].address.family;
}

function leaseOf(path: RelayOptions["path"], side: Side): Lease {
  const family = familyOf(path);
  const endpoint = outerAddress(side, family);
  return {
    subnet: { [`ipv${family}`]: subnetOf(path, side) },
    attributes: { [family === 4 ? "publicIP" : "publicIPv6"]: endpoint, backendType: "" },
    expiresAt: undefined,
    revision: "1",
  };
}

async function startClassic(path: RelayOptions["path"], side: Side): Promise<void> {
  const hostOf = (which: Side) => ({ subnet: subnetOf(path, which), endpoint: outerAddress(which) });
  await startClassicRelay({
    device: "classic0",
    own: hostOf(side),
    peers: [hostOf(otherSide(side))],
    network: networks[path],
    port: ports[path],
    mtu: TUNNEL_MTU,
  });
}
