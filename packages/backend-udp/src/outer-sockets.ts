import type { Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import { closeFd, constants, openSocket } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { openUdpSocket, type UdpSocket } from "@loden/udp";
import type { OuterFds } from "./pump-control.ts";

/** The sockets on the underlay, for each of this host's addresses and each queue. */
export interface OuterSockets {
  readonly ipv4: OuterSocket | undefined;
  readonly ipv6: OuterSocket | undefined;
  /** Whether they are bound to these addresses, and no others are missing. */
  areAt(underlay: Underlay): boolean;
  /** Closes them, but for those that others have taken over. */
  close(): void;
}

/** What {@link openOuterSockets} needs. */
export interface OuterSocketOptions {
  readonly netns?: Netns | undefined;
  readonly port: number;
  readonly queues: number;
}

/** One of {@link OuterSockets}. */
interface OuterSocket {
  /** One for each queue. */
  readonly fds: readonly OuterFds[];
  readonly address: Address;
  /** How many {@link OuterSockets} have it. */
  users: number;
  close(): void;
}

/**
 * Opens the sockets on an underlay.
 *
 * @param options where, the port, and how many queues there are.
 * @param underlay the addresses.
 * @param before other sockets; those that are bound to one of the addresses are taken over, and closed by whoever has them last.
 * @returns the sockets; the caller closes them.
 * @throws {KernelError} as `openUdpSocket` does; `before` is left as it was.
 */
export function openOuterSockets(
  options: OuterSocketOptions,
  underlay: Underlay,
  before?: OuterSockets,
): OuterSockets {
  const open = (name: "ipv4" | "ipv6"): OuterSocket | undefined => {
    const address = underlay[name];
    if (address === undefined) return undefined;
    const known = before?.[name];
    const socket = known?.address.equals(address) === true ? known : openOne(options, address);
    socket.users++;
    return socket;
  };
  const ipv4 = open("ipv4");
  using undo = new DisposableStack();
  undo.defer(() => release(ipv4));
  const ipv6 = open("ipv6");
  undo.move();
  return {
    ipv4,
    ipv6,
    areAt: (other) => isAt(ipv4, other.ipv4) && isAt(ipv6, other.ipv6),
    close() {
      release(ipv4);
      release(ipv6);
    },
  };
}

const settings = { offload: true, dontFragment: true, hearErrors: true } as const;

function openOne({ netns, port, queues }: OuterSocketOptions, address: Address): OuterSocket {
  using undo = new DisposableStack();
  const { AF_INET, AF_INET6, SOCK_DGRAM } = constants;
  const openMtuSocket = (): number => openSocket(address.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM);
  let first: UdpSocket | undefined;
  const fds = Array.from({ length: queues }, (): OuterFds => {
    const socket = undo.use(openUdpSocket({ netns, address, port, ...settings, shareWith: first }));
    first ??= socket;
    const mtuFd = netns === undefined ? openMtuSocket() : netns.run(openMtuSocket);
    undo.defer(() => closeFd(mtuFd));
    return { fd: socket.fd, segmentsPerSend: socket.segmentsPerSend, mtuFd };
  });
  const held = undo.move();
  return { address, fds, users: 0, close: () => held.dispose() };
}

function release(socket: OuterSocket | undefined): void {
  if (socket !== undefined && --socket.users === 0) socket.close();
}

function isAt(socket: OuterSocket | undefined, address: Address | undefined): boolean {
  return socket === undefined || address === undefined
    ? socket?.address === address
    : socket.address.equals(address);
}
