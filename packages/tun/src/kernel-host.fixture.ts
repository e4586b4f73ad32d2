import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  openSocket,
  receiveFrom,
  sendTo,
  watchReadable,
} from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { openAddressControl } from "./address-control.ts";
import { openTun, type OpenTunOptions } from "./open-tun.ts";
import type { TunDevice } from "./tun-device.ts";

/**
 * For the kernel tests: a namespace with a TUN device that is up and has an address, and kernel sockets behind it.
 *
 *     test --- fd of the TUN device | loden0 10.77.0.1/24, fd77::1/64 --- kernel sockets
 *
 * What a socket sends to 10.77.0.2 (any other address of the network) is read from the device.
 */
export class KernelHost implements Disposable {
  readonly netns: Netns = createNetns();
  readonly tun: TunDevice;
  readonly #sockets: number[] = [];

  constructor(options: Omit<OpenTunOptions, "netns"> = {}) {
    this.tun = openTun({ ...options, netns: this.netns });
    this.tun.setUp(true);
    const addresses = this.netns.run(() => openAddressControl(this.tun.name, this.tun.index));
    addresses.setIPv4("10.77.0.1/24");
    addresses.setIPv6("fd77::1/64");
    addresses.close();
  }

  /** Opens a kernel UDP socket on 10.77.0.1. */
  udpSocket(port: number): number {
    const fd = this.#open(constants.SOCK_DGRAM, 0);
    bindSocket(fd, encodeSocketAddress(Uint8Array.of(10, 77, 0, 1), port));
    return fd;
  }

  /** Opens a kernel socket that sends and receives ICMP messages. */
  icmpSocket(): number {
    return this.#open(constants.SOCK_RAW, 1);
  }

  /** Deletes the device behind its owner's back, as `ip link delete` does. */
  deleteDevice(): void {
    const fd = this.netns.run(() => openSocket(constants.AF_NETLINK, constants.SOCK_RAW, 0));
    // struct nlmsghdr (RTM_DELLINK, request and acknowledge) and struct ifinfomsg with the index.
    const request = new Uint8Array(32);
    const view = new DataView(request.buffer);
    view.setUint32(0, 32, true);
    view.setUint16(4, 17, true);
    view.setUint16(6, 5, true);
    view.setInt32(20, this.tun.index, true);
    sendTo(fd, request);
    const answer = new Uint8Array(256);
    receiveFrom(fd, answer);
    closeFd(fd);
    const error = new DataView(answer.buffer).getInt32(16, true);
    if (error !== 0) throw new Error(`Cannot delete ${this.tun.name}: the kernel answers ${error}`);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#sockets) closeFd(fd);
    this.tun.close();
    this.netns.close();
  }

  #open(type: number, protocol: number): number {
    const { AF_INET, SOCK_NONBLOCK } = constants;
    const fd = this.netns.run(() => openSocket(AF_INET, type | SOCK_NONBLOCK, protocol));
    this.#sockets.push(fd);
    return fd;
  }
}

/** Sends a kernel datagram to 10.77.0.2, and so into the device. */
export function sendDatagram(fd: number, payload: Uint8Array, port: number = 9): void {
  sendTo(fd, payload, encodeSocketAddress(Uint8Array.of(10, 77, 0, 2), port));
}

/** Waits until a descriptor is readable. */
export async function readable(fd: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const watch = watchReadable(fd, () => {
      watch.close();
      resolve();
    });
  });
}

/** Waits for one message of a kernel socket. */
export async function receive(fd: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const message = receiveFrom(fd, buffer);
    if (message !== undefined) return buffer.slice(0, message.length);
    await readable(fd);
  }
}

/** Turns a UDP packet into its answer in place: addresses and ports are swapped, which leaves both checksums right. */
export function turnAround(packet: Uint8Array): Uint8Array {
  const swap = (a: number, b: number, length: number): void => {
    const kept = packet.slice(a, a + length);
    packet.copyWithin(a, b, b + length);
    packet.set(kept, b);
  };
  swap(12, 16, 4);
  if (packet[9] === 17) swap(20, 22, 2);
  return packet;
}

/** The payload of an IPv4 UDP packet. */
export function payloadOf(packet: Uint8Array): Uint8Array {
  return packet.subarray(28);
}

/** An ICMP echo request (type 8) or reply (type 0), with its checksum (RFC 792). */
export function icmpEcho(type: 0 | 8, payload: Uint8Array): Uint8Array {
  const message = new Uint8Array(8 + payload.length);
  message.set([type, 0, 0, 0, 0x12, 0x34, 0, 1]);
  message.set(payload, 8);
  new DataView(message.buffer).setUint16(2, checksum(message));
  return message;
}

/** An IPv4 packet from 10.77.0.2 to 10.77.0.1 (RFC 791). */
export function ipv4Packet(protocol: number, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(20 + payload.length);
  packet.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1]);
  const view = new DataView(packet.buffer);
  view.setUint16(2, packet.length);
  view.setUint16(10, checksum(packet.subarray(0, 20)));
  packet.set(payload, 20);
  return packet;
}

/** A UDP packet from 10.77.0.2:9 to 10.77.0.1, without a UDP checksum (RFC 768 allows none over IPv4). */
export function udpPacket(port: number, payload: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(8 + payload.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, 9);
  view.setUint16(2, port);
  view.setUint16(4, datagram.length);
  datagram.set(payload, 8);
  return ipv4Packet(17, datagram);
}

/** The Internet checksum (RFC 1071). */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  bytes.forEach((byte, i) => (sum += i % 2 === 0 ? byte << 8 : byte));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
