import { execFileSync } from "node:child_process";
import { closeFd, constants, encodeSocketAddress, ioctl, openFile, openSocket } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { HEADROOM, type PacketBatch } from "@loden/packet";
import { type Address, parseAddress } from "@loden/ip";
import { type OpenUdpSocketOptions, openUdpSocket } from "./open-udp-socket.ts";
import type { UdpSocket } from "./udp-socket.ts";

// include/uapi/linux/sockios.h and if_tun.h
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFMTU = 0x8922;
const TUNSETIFF = 0x400454ca;
const IFF_UP = 1;
const TAP_WITHOUT_HEADER = 0x1002;

/**
 * For the kernel tests: a namespace whose loopback device is up, and sockets in it.
 *
 *     test --- socket | lo 127.0.0.1, ::1 | socket --- test
 */
export class KernelHost implements Disposable {
  readonly netns: Netns = createNetns();
  readonly #closers: (() => void)[] = [];

  constructor() {
    this.#request("lo", SIOCSIFFLAGS, Uint8Array.of(IFF_UP));
  }

  /** Opens a socket in the namespace. */
  socket(address: string = "127.0.0.1", options: Partial<OpenUdpSocketOptions> = {}): UdpSocket {
    const socket = openUdpSocket({ port: 0, ...options, address: parseAddress(address), netns: this.netns });
    this.#closers.push(() => socket.close());
    return socket;
  }

  /** Gives the loopback device a queue without room: it drops all that is sent. */
  fillLoopbackQueue(): void {
    this.#queueDiscipline("qdisc add dev lo root pfifo limit 0");
  }

  /** How many messages that queue has dropped. */
  get droppedByLoopback(): number {
    return Number(/dropped (\d+)/.exec(this.#queueDiscipline("-s qdisc show dev lo"))?.[1]);
  }

  /** Sets the MTU of the loopback device. */
  setLoopbackMtu(mtu: number): void {
    this.#request("lo", SIOCSIFMTU, new Uint8Array(Int32Array.of(mtu).buffer));
  }

  /**
   * Adds an Ethernet device with 10.88.0.1/8 at whose other end nobody is: addresses behind it are never resolved, so datagrams to them stay
   * in the sender's buffer.
   */
  addDeafNetwork(): void {
    const fd = this.netns.run(() => openFile("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK));
    this.#closers.push(() => closeFd(fd));
    this.netns.run(() =>
      ioctl(
        fd,
        TUNSETIFF,
        requestOf("deaf", Uint8Array.of(TAP_WITHOUT_HEADER & 0xff, TAP_WITHOUT_HEADER >> 8)),
      ),
    );
    this.#request("deaf", SIOCSIFADDR, encodeSocketAddress(Uint8Array.of(10, 88, 0, 1), 0));
    this.#request("deaf", SIOCSIFFLAGS, Uint8Array.of(IFF_UP));
  }

  [Symbol.dispose](): void {
    for (const close of this.#closers) close();
    this.netns.close();
  }

  #queueDiscipline(words: string): string {
    return this.netns.run(() => execFileSync("tc", words.split(" "), { encoding: "utf8" }));
  }

  #request(device: string, number: number, content: Uint8Array): void {
    const fd = this.netns.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
    ioctl(fd, number, requestOf(device, content));
    closeFd(fd);
  }
}

function requestOf(device: string, content: Uint8Array): Uint8Array {
  const ifreq = new Uint8Array(40);
  ifreq.set(new TextEncoder().encode(device));
  ifreq.set(content, 16);
  return ifreq;
}

/** Adds a datagram to a batch, with its destination in the slot's headroom. */
export function addDatagram(
  batch: PacketBatch,
  data: Uint8Array,
  to: { address: Address; port: number },
): number {
  const i = batch.add(data);
  const endpoint = batch.slot(i) - HEADROOM;
  batch.bytes.set(encodeSocketAddress(to.address.toBytes(), to.port), endpoint);
  batch.endpoints[i] = endpoint;
  return i;
}
