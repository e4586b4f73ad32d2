import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Address, Prefix } from "@loden/ip";
import {
  bindSocket,
  constants,
  encodeSocketAddress,
  ioctl,
  openFile,
  openSocket,
  setSocketOption,
} from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import type { RelayStart } from "./relay-worker.ts";

// include/uapi/linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const IFF_TUN_NO_PI = 0x1001;
const BUFFER_BYTES = 8 * 1024 * 1024;

/** A host of the overlay with its outer address. */
export interface ClassicHost {
  readonly subnet: Prefix;
  readonly endpoint: Address;
}

/** What {@link startClassicRelay} needs. */
export interface ClassicRelayOptions {
  readonly device: string;
  readonly own: ClassicHost;
  readonly peers: readonly ClassicHost[];
  /** The network that is routed to the device. */
  readonly network: Prefix;
  /** Outer UDP port, the same on all hosts. */
  readonly port: number;
  readonly mtu: number;
}

/**
 * Starts the data path of the first release in the network namespace of this process: a TUN device without offloads, a worker, one system call
 * for each packet read and written, the checks of both directions. It runs until the process ends.
 *
 * It speaks flannel's bytes, so that any such host may be at the other end. It depends on no package that moves packets: those change.
 *
 * @param options the device, this host, its peers.
 */
export async function startClassicRelay(options: ClassicRelayOptions): Promise<void> {
  const { device, own, peers, network, port, mtu } = options;
  const tunFd = openTun(device);
  const udpFd = openUdp(own.endpoint, port);
  using rtnetlink = openRtnetlink();
  await rtnetlink.links.set(device, { mtu, addrGenMode: "none" });
  await rtnetlink.addresses.add({ link: device, address: own.subnet.address, prefixLength: 32 });
  await rtnetlink.links.set(device, { up: true });
  await rtnetlink.routes.add({ destination: network, link: device });
  const workerData: RelayStart = {
    tunFd,
    udpFd,
    port,
    mtu,
    network: own.subnet.address.toNumber() | 0,
    prefixLength: own.subnet.length,
    peers: peers.map(({ subnet, endpoint }) => ({
      network: subnet.address.toNumber() | 0,
      prefixLength: subnet.length,
      endpoint: endpoint.toNumber() | 0,
    })),
  };
  const worker = new Worker(new URL(import.meta.resolve("./relay-worker.ts")), { workerData });
  worker.on("error", (error) => {
    throw error;
  });
  await once(worker, "message");
}

function openTun(name: string): number {
  const fd = openFile("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  const request = new Uint8Array(40);
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setUint16(16, IFF_TUN_NO_PI, true);
  ioctl(fd, TUNSETIFF, request, `open TUN device ${name}`);
  return fd;
}

function openUdp(address: Address, port: number): number {
  const { AF_INET, SOCK_DGRAM, SOCK_NONBLOCK, SOL_SOCKET, SO_RCVBUFFORCE, SO_SNDBUFFORCE } = constants;
  const fd = openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
  for (const name of [SO_RCVBUFFORCE, SO_SNDBUFFORCE]) {
    try {
      setSocketOption(fd, SOL_SOCKET, name, BUFFER_BYTES);
    } catch {
      // in a user namespace the default size has to do
    }
  }
  bindSocket(fd, encodeSocketAddress(address.toBytes(), port));
  return fd;
}
