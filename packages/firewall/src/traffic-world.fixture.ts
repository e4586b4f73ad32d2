import { addressFromBytes, type AddressFamily, parseAddress } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  getSocketName,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { execFileSync } from "node:child_process";
import assert from "node:assert/strict";

/** Who is where in {@link TrafficWorld}, in one family. */
export interface Addresses {
  readonly network: string;
  /** The host's. */
  readonly subnet: string;
  /** In the subnet. */
  readonly container: string;
  /** The host's, on the link to the container. */
  readonly gateway: string;
  /** The host's, on its links into the overlay; in the subnet, as a TUN device of flannel's has it. */
  readonly tunnel: string;
  readonly peerTunnel: string;
  /** A container of another host. */
  readonly peer: string;
  /** A container of a third host. */
  readonly third: string;
  /** The host's, outside the overlay. */
  readonly host: string;
  readonly world: string;
  readonly excepted: string;
  /** The host's and somebody's at the second way out. */
  readonly backdoor: string;
  readonly beyond: string;
  /** A group of receivers. */
  readonly group: string;
}

/** By family. */
export const addresses: Readonly<Record<AddressFamily, Addresses>> = {
  4: {
    network: "10.5.0.0/16",
    subnet: "10.5.3.0/24",
    container: "10.5.3.2",
    gateway: "10.5.3.1",
    tunnel: "10.5.3.0",
    peerTunnel: "10.5.9.0",
    peer: "10.5.9.2",
    third: "10.5.11.2",
    host: "192.0.2.1",
    world: "192.0.2.2",
    excepted: "203.0.113.7",
    backdoor: "198.51.100.1",
    beyond: "198.51.100.2",
    group: "239.1.2.3",
  },
  6: {
    network: "fd00:5::/52",
    subnet: "fd00:5:0:3::/64",
    container: "fd00:5:0:3::2",
    gateway: "fd00:5:0:3::1",
    tunnel: "fd00:5:0:3::ff",
    peerTunnel: "fd00:5:0:9::ff",
    peer: "fd00:5:0:9::2",
    third: "fd00:5:0:b::2",
    host: "2001:db8:1::1",
    world: "2001:db8:1::2",
    excepted: "2001:db8:7::7",
    backdoor: "2001:db8:2::1",
    beyond: "2001:db8:2::2",
    group: "ff05::1:2:3",
  },
};

/** A socket of one that sends or receives. */
export interface End {
  readonly fd: number;
  readonly port: number;
}

/** How an end is opened. */
export interface EndOptions {
  /** Default: any free one. */
  readonly port?: number;
  /** The mark that its packets get. */
  readonly mark?: number;
  /** Join a group that comes in by this link. */
  readonly group?: { readonly address: string; readonly link: string };
}

/**
 * Test support: a host with a container, and everybody that it forwards packets between, with IPv4 and IPv6.
 *
 *     +- container -+        +-------- host ---------+          +--------------- outside ---------------+
 *     | eth0        |--veth--| cni           overlay |---veth---| overlay  peer: another host's container |
 *     +-------------+        |                  wire |---veth---| wire     world                          |
 *                            |                       |          | lo       excepted                       |
 *                            |                       |          +---------------------------------------+
 *                            |                       |          +--------------- beyond ----------------+
 *                            |              overlay2 |---veth---| overlay2 third: a third host's container |
 *                            |                 wire2 |---veth---| wire2    beyond                         |
 *                            +-----------------------+          +---------------------------------------+
 */
export class TrafficWorld implements Disposable {
  readonly container: Netns = createNetns();
  readonly host: Netns = createNetns();
  readonly outside: Netns = createNetns();
  readonly beyond: Netns = createNetns();
  readonly #ends: End[] = [];

  constructor() {
    for (const netns of this.#all()) {
      netns.setSysctl("net/ipv4/conf/all/rp_filter", 0);
      netns.setSysctl("net/ipv4/conf/default/rp_filter", 0);
      netns.setSysctl("net/ipv6/conf/default/accept_dad", 0);
      ip(netns, ["link set lo up"]);
    }
    this.host.setSysctl("net/ipv4/ip_forward", 1);
    this.host.setSysctl("net/ipv6/conf/all/forwarding", 1);
    const veth = (link: string, peer: string, netns: Netns): string =>
      `link add ${link} type veth peer name ${peer} netns ${pathOf(netns)}`;
    ip(this.host, [
      veth("cni", "eth0", this.container),
      veth("overlay", "overlay", this.outside),
      veth("wire", "wire", this.outside),
      veth("overlay2", "overlay2", this.beyond),
      veth("wire2", "wire2", this.beyond),
      ...["cni", "overlay", "wire", "overlay2", "wire2"].map((link) => `link set ${link} up`),
    ]);
    ip(this.container, ["link set eth0 up"]);
    ip(this.outside, ["link set overlay up", "link set wire up"]);
    ip(this.beyond, ["link set overlay2 up", "link set wire2 up"]);
    for (const family of [4, 6] as const) this.#address(family);
  }

  /**
   * Sends a packet and its answer.
   *
   * @returns The source that the receiver sees.
   */
  exchange(from: Netns, source: string, to: Netns, destination: string, options: EndOptions = {}): string {
    const { port = 0, ...sending } = options;
    const sender = this.open(from, source, sending);
    const receiver = this.open(to, destination, { port });
    this.send(sender, destination, receiver.port);
    const seen = receive(receiver, `at ${destination} from ${source}`);
    this.send(receiver, seen.address, seen.port);
    const answer = receive(sender, `at ${source}, the answer of ${destination} to ${seen.address}`);
    assert.deepEqual(answer, { address: destination, port: receiver.port });
    this.close(receiver);
    return seen.address;
  }

  /** Sends a packet to a port; one to port 9999 that is sent after it must arrive. The source that the receiver sees, if any. */
  arrives(from: Netns, source: string, to: Netns, destination: string, port = 0): string | undefined {
    const sender = this.open(from, source);
    const receiver = this.open(to, destination, { port });
    const last = this.open(to, destination, { port: 9999 });
    this.send(sender, destination, receiver.port);
    this.send(sender, destination, 9999);
    receive(last, `at ${destination} from ${source}`);
    const received = receiveFrom(receiver.fd, new Uint8Array(16), constants.MSG_DONTWAIT);
    for (const end of [last, receiver]) this.close(end);
    return received && sourceOf(received.address).address;
  }

  /** Sends a datagram, in fragments when it is large. */
  send({ fd }: End, address: string, port: number, bytes = 8): void {
    assert.equal(sendTo(fd, new Uint8Array(bytes), socketAddress(address, port)), bytes);
  }

  /** Whether a packet is there. */
  receivesNow({ fd }: End): boolean {
    return receiveFrom(fd, new Uint8Array(16), constants.MSG_DONTWAIT) !== undefined;
  }

  /** Sends a packet to a group, and gives the source that a member sees. */
  sendsToGroup(from: Netns, source: string, to: Netns, address: string, link: string): string {
    const sender = this.open(from, source, { group: { address, link } });
    const member = this.open(to, address, { group: { address, link } });
    this.send(sender, address, member.port);
    return receive(member, `at ${address} from ${source}`).address;
  }

  open(netns: Netns, address: string, { port = 0, mark, group }: EndOptions = {}): End {
    const { family } = parseAddress(address);
    const domain = family === 4 ? constants.AF_INET : constants.AF_INET6;
    const fd = netns.run(() => openSocket(domain, constants.SOCK_DGRAM));
    bindSocket(fd, socketAddress(address, port), address);
    // A packet that does not come is a failure, after five seconds.
    const timeout = new Uint8Array(new BigInt64Array([5n, 0n]).buffer);
    setSocketOption(fd, constants.SOL_SOCKET, SO_RCVTIMEO, timeout);
    if (mark !== undefined) setSocketOption(fd, constants.SOL_SOCKET, SO_MARK, mark);
    if (group !== undefined) joinGroup(netns, fd, group.address, group.link);
    const end = { fd, port: decodeSocketAddress(getSocketName(fd))!.port };
    this.#ends.push(end);
    return end;
  }

  close(end: End): void {
    this.#ends.splice(this.#ends.indexOf(end), 1);
    closeFd(end.fd);
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) closeFd(end.fd);
    for (const netns of this.#all()) netns.close();
  }

  #all(): Netns[] {
    return [this.container, this.host, this.outside, this.beyond];
  }

  #address(family: AddressFamily): void {
    const at = addresses[family];
    const [all, length, wire] = family === 4 ? ["0.0.0.0/0", 32, 24] : ["::/0", 128, 64];
    const add = (address: string, bits: number, link: string): string =>
      addAddress(`${address}/${bits}`, link);
    ip(this.container, [add(at.container, wire, "eth0"), `route add ${all} via ${at.gateway}`]);
    ip(this.host, [
      add(at.gateway, wire, "cni"),
      add(at.tunnel, length, "overlay"),
      add(at.tunnel, length, "overlay2"),
      add(at.host, wire, "wire"),
      add(at.backdoor, wire, "wire2"),
      `route add ${at.network} via ${at.peerTunnel} dev overlay onlink`,
      `route add ${at.third}/${length} dev overlay2`,
      `route add ${at.excepted} via ${at.world}`,
    ]);
    ip(this.outside, [
      add(at.peerTunnel, length, "overlay"),
      add(at.peer, length, "overlay"),
      add(at.world, wire, "wire"),
      add(at.excepted, length, "lo"),
      // By the wire unless a container of the other host answers: the ways that the world and the peer know.
      `route add ${at.subnet} via ${at.host}`,
      `route add ${at.tunnel}/${length} dev overlay`,
      `route add ${at.third} via ${at.tunnel} dev overlay onlink`,
      `route add ${at.beyond} via ${at.host}`,
    ]);
    ip(this.beyond, [
      add(at.third, length, "overlay2"),
      add(at.beyond, wire, "wire2"),
      `route add ${at.tunnel}/${length} dev overlay2`,
      `route add ${at.peer} via ${at.tunnel} dev overlay2 onlink`,
      `route add ${all} via ${at.backdoor}`,
    ]);
  }
}

/** The line of `ip` that gives a link an address which can be used at once. */
export function addAddress(address: string, link: string): string {
  return `addr add ${address} dev ${link}${address.includes(":") ? " nodad" : ""}`;
}

/** Runs lines of `ip` in a namespace. */
export function ip(netns: Netns, commands: readonly string[]): void {
  netns.run(() =>
    execFileSync("ip", ["-batch", "-"], { input: commands.map((line) => `${line}\n`).join("") }),
  );
}

const SO_RCVTIMEO = 20;
const SO_MARK = 36;
const IP_MULTICAST_IF = 32;
const IP_ADD_MEMBERSHIP = 35;
const IPV6_MULTICAST_IF = 17;
const IPV6_ADD_MEMBERSHIP = 20;

function joinGroup(netns: Netns, fd: number, address: string, link: string): void {
  const listed = netns.run(() => execFileSync("ip", ["-o", "link", "show", link], { encoding: "utf8" }));
  const index = Number.parseInt(listed, 10);
  const { family } = parseAddress(address);
  const bytes = parseAddress(address).toBytes();
  const number = new Uint8Array(new Uint32Array([index]).buffer);
  if (family === 4) {
    // struct ip_mreqn: group, own address, index
    const request = Uint8Array.of(...bytes, 0, 0, 0, 0, ...number);
    setSocketOption(fd, constants.SOL_IP, IP_MULTICAST_IF, request);
    setSocketOption(fd, constants.SOL_IP, IP_ADD_MEMBERSHIP, request);
  } else {
    setSocketOption(fd, constants.SOL_IPV6, IPV6_MULTICAST_IF, number);
    // struct ipv6_mreq: group, index
    setSocketOption(fd, constants.SOL_IPV6, IPV6_ADD_MEMBERSHIP, Uint8Array.of(...bytes, ...number));
  }
}

function receive({ fd }: End, what: string): { address: string; port: number } {
  const received = receiveFrom(fd, new Uint8Array(16));
  if (received === undefined) throw new Error(`Cannot receive a packet ${what}: none came`);
  return sourceOf(received.address);
}

function sourceOf(bytes: Uint8Array): { address: string; port: number } {
  const { address, port } = decodeSocketAddress(bytes)!;
  return { address: addressFromBytes(address).toString(), port };
}

function socketAddress(address: string, port: number): Uint8Array {
  return encodeSocketAddress(parseAddress(address).toBytes(), port);
}

/** `netns` wants a name, a process id or a path: the kernel knows this process's descriptors. */
function pathOf(netns: Netns): string {
  return `/proc/${process.pid}/fd/${netns.fd}`;
}
