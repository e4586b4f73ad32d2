// What two hosts send each other, with a check that it arrived as it was sent.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import {
  bindSocket,
  closeFd,
  connectSocket,
  constants,
  encodeSocketAddress,
  KernelError,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import { encodeIcmpEcho, parseIcmp, parseIpv4 } from "@loden/packet";
import { ended, type PairHost } from "./open-pair.ts";

/** How long anything may take that should come at once. */
const PATIENCE_MS = 10_000;
const ICMP = 1;
const ICMPV6 = 58;

/** Sends one echo request; tells whether it is answered. */
export async function ping(from: PairHost, to: PairHost): Promise<boolean> {
  const isIpv4 = to.inner.family === 4;
  using socket = open(from, constants.SOCK_RAW, isIpv4 ? ICMP : ICMPV6);
  const ends = isIpv4 ? undefined : { source: from.inner.value, destination: to.inner.value };
  sendTo(socket.fd, encodeIcmpEcho({ identifier: 77, sequence: 1 }, ends), addressOf(to, 0));
  // Such a socket of IPv6 hears of neighbours, too; one of IPv4 has the header before each message.
  for (;;) {
    const reply = await received(socket.fd);
    if (reply === undefined) return false;
    const { type, identifier } = parseIcmp(isIpv4 ? parseIpv4(reply).payload : reply);
    if (type === (isIpv4 ? 0 : 129) && identifier === 77) return true;
  }
}

/** Sends one datagram, cut by the kernel into fragments where it has to be; tells whether it arrives as it was. */
export async function moveDatagram(from: PairHost, to: PairHost, bytes: number): Promise<boolean> {
  using receiver = open(to, constants.SOCK_DGRAM, 0, 7000);
  using sender = open(from, constants.SOCK_DGRAM, 0);
  const data = Uint8Array.from({ length: bytes }, (_, i) => (i * 7) ^ (i >> 8));
  sendTo(sender.fd, data, addressOf(to, 7000));
  const arrived = await received(receiver.fd);
  return arrived !== undefined && Buffer.compare(arrived, data) === 0;
}

/**
 * Sends a datagram to a port that nobody listens on, and waits for the ICMP error that comes back.
 *
 * @param from the sender. @param to the receiver. @param ttl of the packet; the usual one when it is absent.
 * @returns the number of the kernel's error for it; undefined when none came.
 */
export async function provokeError(from: PairHost, to: PairHost, ttl?: number): Promise<number | undefined> {
  using socket = open(from, constants.SOCK_DGRAM, 0);
  const { SOL_IP, IP_RECVERR, IP_TTL, SOL_IPV6, IPV6_RECVERR, IPV6_UNICAST_HOPS } = constants;
  const isIpv4 = to.inner.family === 4;
  const set = (ipv4: number, ipv6: number, value: number): void =>
    setSocketOption(socket.fd, isIpv4 ? SOL_IP : SOL_IPV6, isIpv4 ? ipv4 : ipv6, value);
  set(IP_RECVERR, IPV6_RECVERR, 1);
  if (ttl !== undefined) set(IP_TTL, IPV6_UNICAST_HOPS, ttl);
  connectSocket(socket.fd, addressOf(to, 7001));
  sendTo(socket.fd, new Uint8Array(100));
  try {
    await received(socket.fd);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}

/**
 * Sends bytes over TCP between two processes, each in its host's namespace.
 *
 * @param from the sender. @param to the receiver.
 * @param bytes how many. @param chunk in writes of so many, each of which waits for an answer; all at once when it is absent.
 * @returns the hashes at both ends.
 */
export async function moveBytes(
  from: PairHost,
  to: PairHost,
  bytes: number,
  chunk: number = bytes,
): Promise<{ readonly sent: string; readonly arrived: string }> {
  await using undo = new AsyncDisposableStack();
  const run = (host: PairHost, script: string, ...words: readonly string[]) => {
    const child = host.netns.run(() =>
      spawn(process.execPath, ["-e", script, ...words], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    undo.defer(() => ended(child));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return async (): Promise<string> => String((await lines.next()).value);
  };
  const address = to.inner.toString();
  const receiver = run(to, receivingScript, address);
  const port = await receiver();
  const sender = run(from, sendingScript, address, port, String(bytes), String(chunk));
  const [sent, arrived] = [await sender(), await receiver()];
  return { sent, arrived };
}

/** The hash that both ends of {@link moveBytes} tell when nothing arrives. */
export const emptyHash: string = createHash("sha256").digest("hex");

const receivingScript = `
  const hash = require("node:crypto").createHash("sha256");
  const server = require("node:net").createServer((socket) => {
    socket.on("data", (data) => { hash.update(data); socket.write("x"); });
    socket.on("end", () => { console.log(hash.digest("hex")); server.close(); socket.end(); });
  }).listen({ host: process.argv[1], port: 0 }, () => console.log(server.address().port));`;
const sendingScript = `
  const { createHash, randomBytes } = require("node:crypto");
  const [host, port, bytes, chunk] = [process.argv[1], ...process.argv.slice(2).map(Number)];
  const data = randomBytes(bytes);
  const socket = require("node:net").connect({ host, port, noDelay: true });
  let at = 0;
  const next = () => {
    if (at >= bytes) return socket.end();
    socket.write(data.subarray(at, at + chunk));
    at += chunk;
    if (at >= bytes) socket.end();
  };
  socket.on("connect", next).on("data", next);
  console.log(createHash("sha256").update(data).digest("hex"));`;

interface OwnSocket extends Disposable {
  readonly fd: number;
}

function open(host: PairHost, type: number, protocol: number, port = 0): OwnSocket {
  const { AF_INET, AF_INET6, SOCK_NONBLOCK } = constants;
  const family = host.inner.family === 4 ? AF_INET : AF_INET6;
  const fd = host.netns.run(() => openSocket(family, type | SOCK_NONBLOCK, protocol));
  bindSocket(fd, addressOf(host, port));
  return { fd, [Symbol.dispose]: () => closeFd(fd) };
}

function addressOf({ inner }: PairHost, port: number): Uint8Array {
  return encodeSocketAddress(inner.toBytes(), port);
}

async function received(fd: number): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(65_536);
  for (const start = performance.now(); performance.now() - start < PATIENCE_MS;) {
    const message = receiveFrom(fd, buffer);
    if (message !== undefined) return buffer.slice(0, message.length);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return undefined;
}
