import type { Address, AddressFamily } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  KernelError,
  openSocket,
  sendTo,
} from "@loden/linux";
import type { Netns } from "@loden/netns";
import { type CallOptions, type NeighbourStateName, openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { openReachability } from "./open-reachability.ts";

/** The discard service (RFC 863): nobody misses what is sent there. */
const DISCARD = 9;

/** Where {@link greetNeighbours} greets from. */
export interface GreetOptions extends CallOptions {
  /** The namespace; without it, that of the calling thread. */
  readonly netns?: Netns | undefined;
  /** Name of the link. */
  readonly link: string;
  /** This host's IPv4 address on it that neighbours are to learn anew. */
  readonly ipv4?: Address | undefined;
  /** Its IPv6 address. */
  readonly ipv6?: Address | undefined;
}

/**
 * Makes neighbours learn at which hardware address this host is now: after its card was replaced, or after it took another address. The kernel tells nobody by
 * itself unless `arp_notify` and `ndisc_notify` are set before; a neighbour that has something to say goes on sending to the old card until it doubts it, for up
 * to a minute, unless this host happens to ask for the neighbour meanwhile. So it asks: whoever asks says where he is himself (RFC 826; RFC 4861, 7.2.3).
 *
 * What the kernel knows of the hosts' hardware addresses is forgotten, but for what somebody entered, and an empty datagram makes it ask again. Of hosts behind a
 * router the router is greeted. Needs CAP_NET_ADMIN.
 *
 * @param hosts who may be sending to this one.
 * @param options from where.
 * @returns how many neighbours were greeted.
 * @throws {KernelError} `EADDRNOTAVAIL` when this host does not have the address.
 */
export async function greetNeighbours(hosts: Iterable<Address>, options: GreetOptions): Promise<number> {
  const { netns, link, ipv4, ipv6, signal } = options;
  const wanted = [...hosts].filter(({ family }) => (family === 4 ? ipv4 : ipv6) !== undefined);
  using reachability = openReachability({ netns });
  const reach = await reachability.reach(wanted, { signal });
  /** By the text of the neighbour: where to send so that it is asked for. */
  const greeted = new Map<string, Address>();
  for (const host of wanted) {
    const found = reach.get(host.toString());
    if (found?.kind === "neighbour" && found.link === link) greeted.set(host.toString(), host);
    else if (found?.kind === "router" && found.link === link) greeted.set(found.router.toString(), host);
  }
  using rtnetlink = openRtnetlink({ netns });
  await forget(rtnetlink, link, greeted, { signal });
  for (const [family, own] of [
    [4, ipv4],
    [6, ipv6],
  ] as const) {
    const targets = [...greeted.values()].filter((host) => host.family === family);
    if (own !== undefined && targets.length > 0) sendEmpty(netns, own, targets);
  }
  return greeted.size;
}

/** Whatever somebody entered stays. */
const learnt: ReadonlySet<NeighbourStateName> = new Set([
  "reachable",
  "stale",
  "delay",
  "probe",
  "incomplete",
  "failed",
]);

async function forget(
  { neighbours }: Rtnetlink,
  link: string,
  greeted: ReadonlyMap<string, Address>,
  options: CallOptions,
): Promise<void> {
  const known = await neighbours.list({ link, ...options });
  const old = known.filter(({ address, state }) => learnt.has(state) && greeted.has(address.toString()));
  // One that is gone by itself is an error that does not matter.
  await neighbours.change(
    old.map((neighbour) => ({ verb: "delete", neighbour }) as const),
    options,
  );
}

function sendEmpty(netns: Netns | undefined, own: Address, hosts: readonly Address[]): void {
  const fd = openUdp(netns, own.family);
  try {
    // Neighbours learn the address that the question comes from.
    bindSocket(fd, encodeSocketAddress(own.toBytes(), 0), own.toString());
    for (const host of hosts) {
      try {
        sendTo(fd, new Uint8Array(0), encodeSocketAddress(host.toBytes(), DISCARD));
      } catch (error) {
        // A host that can't be reached, or an answer of one before.
        if (!(error instanceof KernelError)) throw error;
      }
    }
  } finally {
    closeFd(fd);
  }
}

function openUdp(netns: Netns | undefined, family: AddressFamily): number {
  const { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_NONBLOCK } = constants;
  const open = (): number => openSocket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK);
  return netns === undefined ? open() : netns.run(open);
}
