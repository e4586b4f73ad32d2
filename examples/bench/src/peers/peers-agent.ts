// A host's node of an overlay with many peers, as a process of its own.
import { openUdpBackend, type UdpBackend, type UdpBackendOptions } from "@loden/backend-udp";
import { addressFromNumber, Prefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { parseNetworkConfig } from "@loden/subnet";
import { otherSide, outerAddress, type Side, UNDERLAY_MTU } from "../dataplane/addresses.ts";
import { readDevice } from "../dataplane/read-device.ts";
import { serveAgent } from "../dataplane/serve-agent.ts";
import { endpointsFrom, overlayOf } from "./overlays.ts";

/** What the method `start` takes. */
export interface PeersOptions {
  /** Which of the overlays that exist side by side. */
  readonly overlay: number;
  readonly side: Side;
  /** Its device on the underlay. */
  readonly link: string;
  /** How many peers it has that are nowhere; a power of two, at most 65,536. Together they hold 65,536 subnets of length 24. */
  readonly peers: number;
  /** Whether the other host is a peer as well. */
  readonly other: boolean;
  /** With `auto` the peers' subnets all have the network's length, as the kernel path wants it, and they publish what a host on a veth does. */
  readonly kernelPath: NonNullable<UdpBackendOptions["kernelPath"]>;
  /** The length of the network's subnets: 24 by default, as in flannel. With fewer peers than subnets of that length and `auto`, theirs are the first ones. */
  readonly subnetLength?: number | undefined;
}

/** What the method `setPeers` takes. */
interface PeersChange {
  readonly overlay: number;
  /** As in {@link PeersOptions}. */
  readonly peers: number;
  /** Whether each has an endpoint of its own or all share one. */
  readonly endpoints: "each" | "one";
}

/** What the method `stopChanges` gives. */
export interface Changes {
  /** Peers whose endpoint was changed. */
  readonly changed: number;
  /** Seconds that the main thread spent on it. */
  readonly seconds: number;
}

let subnetLength = 24;
let backend: UdpBackend;
let kernelPath: PeersOptions["kernelPath"];
let leases: Lease[] = [];
let changeable = 0;
let changing: NodeJS.Timeout | undefined;
let changes: Changes = { changed: 0, seconds: 0 };

serveAgent({
  /** Gives the state of the kernel path. */
  async start(options: PeersOptions): Promise<UdpBackend["kernelPath"]> {
    const { overlay, side, link, peers, other } = options;
    ({ kernelPath, subnetLength = 24 } = options);
    const { network, port } = overlayOf(overlay);
    backend = openUdpBackend({
      underlay: { link, mtu: UNDERLAY_MTU, ipv4: outerAddress(side) },
      port,
      kernelPath,
    });
    const config = {
      Network: network.toString(),
      SubnetLen: subnetLength,
      Backend: { Type: "udp", Port: port },
    };
    await backend.join({
      lease: hostLease(overlay, side),
      network: parseNetworkConfig(JSON.stringify(config)),
    });
    leases = [...peerLeases(overlay, peers, "one"), ...(other ? [hostLease(overlay, otherSide(side))] : [])];
    changeable = peers;
    await backend.apply(leases);
    return backend.kernelPath;
  },
  /** Has other peers from now on; gives how many seconds that took. */
  async setPeers({ overlay, peers, endpoints }: PeersChange): Promise<number> {
    leases = peerLeases(overlay, peers, endpoints);
    const start = performance.now();
    await backend.apply(leases);
    return (performance.now() - start) / 1000;
  },
  packets: (): number => backend.stats().outbound.packets,
  /** Packets that userspace has read from the TUN device. */
  pumped: (): number => readDevice(backend.deviceName ?? "").sent.packets,
  /** Changes so many endpoints a second, a hundred times a second, each time with the whole set of peers as its followers hand it over. */
  startChanges({ perSecond }: { readonly perSecond: number }): void {
    changes = { changed: 0, seconds: 0 };
    let last = performance.now();
    let next = 0;
    let owed = 0;
    changing = setInterval(() => {
      const now = performance.now();
      owed += ((now - last) / 1000) * perSecond;
      last = now;
      const count = Math.min(changeable, Math.floor(owed));
      owed -= count;
      for (let i = 0; i < count; i++) {
        leases[next] = moved(leases[next] as Lease);
        next = (next + 1) % changeable;
      }
      void backend.apply(leases);
      const { changed, seconds } = changes;
      changes = { changed: changed + count, seconds: seconds + (performance.now() - now) / 1000 };
    }, 10);
  },
  stopChanges(): Changes {
    clearInterval(changing);
    return changes;
  },
});

function hostLease(overlay: number, side: Side): Lease {
  const subnet = new Prefix(overlayOf(overlay).hosts[side], subnetLength);
  return leaseOf(subnet, outerAddress(side).toNumber());
}

function peerLeases(overlay: number, peers: number, endpoints: "each" | "one"): Lease[] {
  const { first } = overlayOf(overlay);
  const length = kernelPath === "auto" ? subnetLength : 8 + Math.log2(peers);
  return Array.from({ length: peers }, (_, i) =>
    leaseOf(
      new Prefix(addressFromNumber((first + i * 2 ** (32 - length)) >>> 0), length),
      endpointsFrom + (endpoints === "each" ? i : 0),
    ),
  );
}

function leaseOf(subnet: Prefix, endpoint: number): Lease {
  return {
    subnet: { ipv4: subnet },
    attributes: {
      publicIP: addressFromNumber(endpoint),
      backendType: "",
      ...(kernelPath === "auto" && { backendData: { Decapsulates: "all" } }),
    },
    expiresAt: undefined,
    revision: "1",
  };
}

/** The same lease with the other one of two endpoints. */
function moved(lease: Lease): Lease {
  const endpoint = ((lease.attributes.publicIP?.toNumber() ?? 0) ^ 0x0001_0000) >>> 0;
  return { ...lease, attributes: { ...lease.attributes, publicIP: addressFromNumber(endpoint) } };
}
