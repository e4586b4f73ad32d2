// One host's node of an overlay, as a process of its own, so that its processor time can be told from everybody else's.
import { openUdpBackend, type UdpBackend, type UdpBackendOptions } from "@loden/backend-udp";
import type { AddressFamily } from "@loden/ip";
import type { JsonValue, Lease } from "@loden/lease";
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
import { readDevice } from "./read-device.ts";
import { serveAgent } from "./serve-agent.ts";

/** What the method `start` takes. */
export interface RelayOptions {
  /** Whose network, addresses and port. */
  readonly path: SubnetPath;
  readonly side: Side;
  /** What carries the packets: the path's own, or the other one, since both speak the same bytes. */
  readonly software: "loden" | "classic";
  /** Name of the host's device on the underlay. */
  readonly device: string;
  /** Loden's setting; the one that a user has who sets nothing, without it. */
  readonly kernelPath?: UdpBackendOptions["kernelPath"];
}

/** What Loden publishes with its lease: what `start` gives, and `meet` takes of the other host, which may publish nothing. */
export interface Published {
  readonly backendData: JsonValue | undefined;
}

/** What the method `account` gives. */
export interface RelayAccount {
  readonly kernelPath: UdpBackend["kernelPath"];
  /** Bytes of packets that went to the other host, whichever way. */
  readonly sent: number;
  /** Bytes of packets that userspace has read from the TUN device: those that the kernel didn't pass on by itself. */
  readonly pumped: number;
}

interface Node {
  readonly backend: UdpBackend;
  readonly path: SubnetPath;
  readonly side: Side;
}

let node: Node | undefined;

serveAgent({
  async start(options: RelayOptions): Promise<Published | undefined> {
    if (options.software === "classic") return startClassic(options);
    node = await startLoden(options);
    return { backendData: node.backend.attributes.backendData };
  },
  async meet({ backendData }: Published): Promise<void> {
    const { backend, path, side } = started();
    await backend.apply([leaseOf(path, otherSide(side), backendData)]);
  },
  account(): RelayAccount {
    const { backend } = started();
    const { bytes } = backend.stats().outbound;
    return {
      kernelPath: backend.kernelPath,
      sent: bytes,
      pumped: readDevice(backend.deviceName ?? "").sent.bytes,
    };
  },
});

async function startLoden({ path, side, device, kernelPath }: RelayOptions): Promise<Node> {
  const [overlay, family] = [networks[path].toString(), familyOf(path)];
  const network = parseNetworkConfig(
    JSON.stringify({
      ...(family === 4
        ? { Network: overlay }
        : { EnableIPv4: false, EnableIPv6: true, IPv6Network: overlay }),
      Backend: { Type: "udp", Port: ports[path] },
    }),
  );
  const underlay = { link: device, mtu: UNDERLAY_MTU, [`ipv${family}`]: outerAddress(side, family) };
  const backend = openUdpBackend({ underlay, port: ports[path], kernelPath });
  await backend.join({ lease: leaseOf(path, side, undefined), network });
  return { backend, path, side };
}

/** Inside and outside: no path mixes them. */
function familyOf(path: RelayOptions["path"]): AddressFamily {
  return networks[path].address.family;
}

function leaseOf(path: RelayOptions["path"], side: Side, backendData: JsonValue | undefined): Lease {
  const family = familyOf(path);
  const endpoint = outerAddress(side, family);
  return {
    subnet: { [`ipv${family}`]: subnetOf(path, side) },
    attributes: { [family === 4 ? "publicIP" : "publicIPv6"]: endpoint, backendType: "", backendData },
    expiresAt: undefined,
    revision: "1",
  };
}

async function startClassic({ path, side }: RelayOptions): Promise<undefined> {
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

function started(): Node {
  if (node === undefined)
    throw new Error("Cannot ask for Loden's node: there is none here, expected one that has started");
  return node;
}
