import { type Address, Prefix } from "@loden/ip";
import { errno, type KernelError } from "@loden/linux";
import { type Attribute, decodeRoute, encodeRoute, MessageType } from "@loden/netlink";
import type { NetlinkRequest } from "@loden/netlink-socket";
import type { CallOptions } from "../call-options.ts";
import { nameFinder } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import type { ListedRoute } from "./route.ts";
import { listedRoute } from "./route-message.ts";

/** What a packet is whose route is asked for, besides its destination: what rules of policy routing may look at. */
export interface LookupOptions extends CallOptions {
  /** Its source address, one of this host's; the kernel chooses one without it. */
  readonly source?: Address | undefined;
  /** Number of its protocol (`ipproto`): 6 for TCP, 17 for UDP, which the kernel takes it for without one. */
  readonly protocol?: number | undefined;
  /** Its source port (`sport`). */
  readonly sourcePort?: number | undefined;
  /** Its destination port (`dport`). */
  readonly destinationPort?: number | undefined;
  /** Index of the link that it has to leave by, as from a socket that is bound to it (`oif`); any without it. */
  readonly outputLinkIndex?: number | undefined;
}

/** What else many lookups take. */
export interface LookupManyOptions extends LookupOptions {
  /** Called between system calls; `yieldProcessor` of `@loden/linux` lets a thread go first that waits for this processor. */
  readonly giveWay?: (() => void) | undefined;
}

/** Asks which route a packet to an address would take, as `ip route get ADDRESS`; `undefined` when there is none. */
export async function lookupRoute(
  socket: RequestSocket,
  address: Address,
  options: LookupOptions = {},
): Promise<ListedRoute | undefined> {
  const [route] = await lookupRoutes(socket, [address], options);
  return route;
}

/** Asks it for many addresses; throws what another failure than an unreachable address is. */
export async function lookupRoutes(
  socket: RequestSocket,
  addresses: Iterable<Address>,
  { signal, giveWay, ...packet }: LookupManyOptions = {},
): Promise<(ListedRoute | undefined)[]> {
  signal?.throwIfAborted();
  const other = selectorsOf(packet);
  const requests = Array.from(addresses, (address) => lookupRequest(address, packet, other));
  const messages: (ReturnType<typeof decodeRoute> | undefined)[] = requests.map(() => undefined);
  const errors = await socket.sendMany(requests, {
    signal,
    giveWay,
    visit: (index, { payload }) => {
      messages[index] = decodeRoute(payload.slice());
    },
  });
  const failure = errors.find((error) => error !== undefined && !isUnreachable(error));
  if (failure) throw failure;
  // Only now: a socket has one exchange at a time.
  const nameOf = nameFinder(socket);
  return messages.map((message) => message && listedRoute(message, nameOf));
}

function lookupRequest(
  address: Address,
  { source, outputLinkIndex }: LookupOptions,
  other: readonly Attribute[],
): NetlinkRequest {
  const whole = (one: Address): Prefix => new Prefix(one, one.family === 4 ? 32 : 128);
  return {
    type: MessageType.getRoute,
    // A strict socket takes no table and no type here.
    payload: encodeRoute({
      destination: whole(address),
      table: 0,
      type: 0,
      ...(source && { from: whole(source) }),
      ...(outputLinkIndex !== undefined && { interfaceIndex: outputLinkIndex }),
      other,
    }),
    attempt: () => `look up the route to ${address.toString()}`,
  };
}

/** RTA_IP_PROTO, RTA_SPORT and RTA_DPORT, the ports in network order. */
function selectorsOf({ protocol, sourcePort, destinationPort }: LookupOptions): readonly Attribute[] {
  const attributes: Attribute[] = [];
  if (protocol !== undefined) attributes.push({ type: 27, flags: 0, value: Uint8Array.of(protocol) });
  const ports = [
    [28, sourcePort],
    [29, destinationPort],
  ] as const;
  for (const [type, port] of ports)
    if (port !== undefined) attributes.push({ type, flags: 0, value: Uint8Array.of(port >> 8, port & 0xff) });
  return attributes;
}

function isUnreachable({ errno: number }: KernelError): boolean {
  return unreachable.has(number);
}

// The last two are what routes of type blackhole and prohibit answer (fib_props in net/ipv4/fib_semantics.c).
const unreachable: ReadonlySet<number> = new Set([
  errno.ENETUNREACH,
  errno.EHOSTUNREACH,
  errno.EINVAL,
  errno.EACCES,
]);
