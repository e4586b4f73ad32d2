import type { Address, Prefix } from "@loden/ip";
import {
  formatRule,
  type ListedRoute,
  type ListedRule,
  type LookupManyOptions,
  type LookupOptions,
  type Rtnetlink,
} from "@loden/rtnetlink";
import { setImmediate } from "node:timers/promises";

/** What {@link createPlainPaths} is told. */
export interface PlainPathsOptions {
  /** Index of the underlay's link. */
  readonly linkIndex: number;
  /** Its MTU in bytes. */
  readonly linkMtu: number;
  /** Where datagrams are sent from: this host's address on the underlay. */
  readonly source: Address;
  /** UDP port that they are sent from, and to. */
  readonly port: number;
  /** Called every third of a millisecond or so of work: with `yieldProcessor` the pump's packets don't wait for all of it. */
  readonly giveWay?: (() => void) | undefined;
}

/** Which endpoints datagrams reach in the plain way: out of the underlay's link, and nothing else to heed. */
export interface PlainPaths {
  /**
   * Whether the way to an endpoint is plain.
   *
   * @param endpoint An IPv4 address.
   * @returns What was so when it was looked up; `undefined` when it has not been, or was forgotten.
   * @throws {TypeError} For an IPv6 address.
   */
  isPlain(endpoint: Address): boolean | undefined;
  /**
   * Looks up the endpoints that are unknown; the others cost nothing. The event loop gets its turns. What is forgotten while this goes on may
   * stay unknown: who forgot it asks again.
   *
   * @param endpoints IPv4 addresses.
   * @param options `signal` ends it between batches.
   * @throws {KernelError} The kernel refused for another reason than that there is no way.
   * @throws {TypeError} For an IPv6 address.
   */
  resolve(
    endpoints: Iterable<Address>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
  /**
   * Forgets what is known.
   *
   * @param within The endpoints that it is about, such as the destination of a route that changed; all of them without it.
   */
  forget(within?: Prefix): void;
  /** How many endpoints it knows of. */
  readonly size: number;
  /**
   * Forgets all endpoints but these.
   *
   * @param endpoints IPv4 addresses, as numbers.
   */
  keepOnly(endpoints: ReadonlySet<number>): void;
}

/** Endpoints that are looked up in one turn of the event loop: some 3 ms. */
const ENDPOINTS_PER_TURN = 256;
const UDP = 17;

/**
 * Makes the memory of which endpoints are reached in the plain way, which is the only one that a packet takes that an eBPF program sends out
 * of the underlay's link: there the kernel looks no further than for the next hop on that link, does not know a path's MTU, and wraps
 * nothing. A way is plain when
 * - its route leaves through that link, is for one host (`unicast`: no blackhole, not this host itself) and has no encapsulation,
 * - it has no MTU below the link's: none by its route, and none that a router told of,
 * - the next hop is the same where rules of policy routing can't see the datagram's ports, and see the link that it leaves by.
 *
 * The kernel tells of changes of routes, rules, links and addresses, which is when to forget; of an MTU that a router told of it tells nobody
 * but the socket whose datagram was too long.
 *
 * @param rtnetlink Of the underlay's namespace.
 * @param options The link, and what is sent.
 * @returns The memory, empty.
 */
export function createPlainPaths(
  rtnetlink: {
    readonly routes: Pick<Rtnetlink["routes"], "lookupMany">;
    readonly rules: Pick<Rtnetlink["rules"], "list">;
  },
  options: PlainPathsOptions,
): PlainPaths {
  const { linkIndex, source, port, giveWay } = options;
  /** By the address as a number. */
  const known = new Map<number, boolean>();
  let forgotten = 0;
  const ofDatagram: LookupOptions = { source, protocol: UDP, sourcePort: port, destinationPort: port };
  const ofProgram: LookupOptions = { source, protocol: UDP, outputLinkIndex: linkIndex };

  async function resolve(
    endpoints: Iterable<Address>,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    const unknown = [...unknownOf(endpoints).values()];
    for (let start = 0; start < unknown.length; start += ENDPOINTS_PER_TURN) {
      if (start > 0) await setImmediate();
      await resolveSome(unknown.slice(start, start + ENDPOINTS_PER_TURN), { signal, giveWay });
    }
  }

  /** Each once. */
  function unknownOf(endpoints: Iterable<Address>): Map<number, Address> {
    const unknown = new Map<number, Address>();
    for (const endpoint of endpoints) {
      const number = endpoint.toNumber();
      if (!known.has(number)) unknown.set(number, endpoint);
    }
    return unknown;
  }

  async function resolveSome(endpoints: readonly Address[], call: LookupManyOptions): Promise<void> {
    const before = forgotten;
    const hasRules = !isDefault(await rtnetlink.rules.list({ family: 4, signal: call.signal }));
    const routes = await rtnetlink.routes.lookupMany(endpoints, { ...call, ...ofDatagram });
    const others = hasRules
      ? await rtnetlink.routes.lookupMany(endpoints, { ...call, ...ofProgram })
      : routes;
    if (forgotten !== before) return;
    for (const [i, endpoint] of endpoints.entries()) {
      const [route, other] = [routes[i], others[i]];
      known.set(endpoint.toNumber(), isPlainRoute(route, options) && haveSameHop(route, other));
    }
  }

  function isPlain(endpoint: Address): boolean | undefined {
    return known.get(endpoint.toNumber());
  }

  function forget(within?: Prefix): void {
    if (within?.address.family === 6) return;
    forgotten++;
    if (within === undefined || within.length === 0) return known.clear();
    const shift = 32 - within.length;
    const network = within.address.toNumber() >>> shift;
    for (const endpoint of known.keys()) if (endpoint >>> shift === network) known.delete(endpoint);
  }

  function keepOnly(endpoints: ReadonlySet<number>): void {
    for (const endpoint of known.keys()) if (!endpoints.has(endpoint)) known.delete(endpoint);
  }

  return {
    isPlain,
    resolve,
    forget,
    get size() {
      return known.size;
    },
    keepOnly,
  };
}

/** Whether there are the rules alone that every namespace has: tables local, main and default, for all packets. */
function isDefault(rules: readonly ListedRule[]): boolean {
  return (
    rules.length === DEFAULT_RULES.length &&
    rules.every((rule, i) => formatRule({ ...rule, protocol: undefined }) === DEFAULT_RULES[i])
  );
}

// The kernel's own have protocol 2, and older kernels give none.
const DEFAULT_RULES = [
  "from all table 255 priority 0",
  "from all table 254 priority 32766",
  "from all table 253 priority 32767",
];

function isPlainRoute(
  route: ListedRoute | undefined,
  { linkIndex, linkMtu }: PlainPathsOptions,
): route is ListedRoute {
  return (
    route?.type === "unicast" &&
    route.linkIndex === linkIndex &&
    (route.mtu === undefined || route.mtu >= linkMtu) &&
    route.encapsulation === undefined
  );
}

function haveSameHop(a: ListedRoute, b: ListedRoute | undefined): boolean {
  if (b?.type !== a.type || b.linkIndex !== a.linkIndex) return false;
  return a.gateway && b.gateway ? a.gateway.equals(b.gateway) : a.gateway === b.gateway;
}
