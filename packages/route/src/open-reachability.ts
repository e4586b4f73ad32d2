import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import {
  type CallOptions,
  type ListedRoute,
  openRtnetlink,
  type Rtnetlink,
  type RtnetlinkEvent,
} from "@loden/rtnetlink";
import { LODEN_PROTOCOL } from "./loden-protocol.ts";

/** Changes come in bursts (a link that goes down takes many routes along): look once for all of them. */
const SETTLE_MS = 20;

/** How packets of this host would reach an address. */
export type Reach =
  /** Directly on a link, as a neighbour. */
  | { readonly kind: "neighbour"; readonly link: string }
  /** Through a router. */
  | { readonly kind: "router"; readonly link: string; readonly router: Address }
  /** It is this host's own. */
  | { readonly kind: "own" }
  /** Not at all: no route, or one that refuses. */
  | { readonly kind: "unreachable" };

/** Answers how addresses are reached, and says when an answer is no longer right. */
export interface Reachability extends Disposable {
  /**
   * Asks the kernel about addresses, as `ip route get ADDRESS`, and remembers the answers until the next call.
   *
   * @returns the answer for each address, by its text.
   */
  reach(addresses: Iterable<Address>, options?: CallOptions): Promise<ReadonlyMap<string, Reach>>;
  /**
   * Yields when an answer of the last call has become another one, some 20 ms after routes, addresses or links changed and once for all changes of that
   * time. Open when it returns; iterate once. `break` and {@link Reachability.close} end it, aborting rejects with `signal.reason`.
   */
  watch(options?: CallOptions): AsyncIterable<void>;
  /** Ends the watches. Again does nothing. */
  close(): void;
}

/** Options of {@link openReachability}. */
export interface OpenReachabilityOptions {
  /** Namespace to ask in; without it, that of the calling thread. Keep it open as long as this. */
  readonly netns?: Netns | undefined;
  /** Protocol number of routes of ours, which reach overlays and no hosts. Default {@link LODEN_PROTOCOL}. */
  readonly protocol?: number | undefined;
}

/**
 * Opens the question how other hosts are reached: whether they are neighbours on a link, or behind a router. Needs no privilege.
 *
 * @param options which namespace.
 * @returns answers; close it after use.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 */
export function openReachability(options: OpenReachabilityOptions = {}): Reachability {
  const { netns, protocol = LODEN_PROTOCOL } = options;
  const rtnetlink = openRtnetlink({ netns });
  const watching = new Set<Rtnetlink>();
  let asked: readonly Address[] = [];
  let answers: ReadonlyMap<string, Reach> = new Map();

  async function reach(
    addresses: Iterable<Address>,
    call?: CallOptions,
  ): Promise<ReadonlyMap<string, Reach>> {
    asked = [...addresses];
    const found = new Map<string, Reach>();
    for (const address of asked) {
      const key = address.toString();
      if (!found.has(key)) found.set(key, reachOf(await rtnetlink.routes.lookup(address, call)));
    }
    answers = found;
    return found;
  }

  function watch(call?: CallOptions): AsyncIterable<void> {
    const own = openRtnetlink({ netns });
    watching.add(own);
    // The kernel removes IPv4 routes without a word when their link goes down, so links count.
    const events = own.watch(["links", "addresses", "routes"], call);
    // Routes of ours lead to overlays and not to hosts.
    const bursts = settled(events, (event) => event.type !== "route" || event.route.protocol !== protocol);
    return (async function* () {
      try {
        for await (const _ of bursts) {
          const before = answers;
          if (isDeepStrictEqual(before, await reach(asked, call))) continue;
          yield;
        }
      } finally {
        watching.delete(own);
        own.close();
      }
    })();
  }

  const close = (): void => {
    for (const own of [rtnetlink, ...watching]) own.close();
  };
  return { reach, watch, close, [Symbol.dispose]: close };
}

function reachOf(route: ListedRoute | undefined): Reach {
  if (route?.type === "local") return { kind: "own" };
  if (route?.type !== "unicast" || route.link === undefined) return { kind: "unreachable" };
  const { link, gateway } = route;
  return gateway === undefined ? { kind: "neighbour", link } : { kind: "router", link, router: gateway };
}

/** Yields once for each burst of events that matter. */
async function* settled(
  events: AsyncIterable<RtnetlinkEvent>,
  matters: (event: RtnetlinkEvent) => boolean,
): AsyncGenerator<void> {
  let burst = Promise.withResolvers<true>();
  const read = async (): Promise<false> => {
    for await (const event of events) if (matters(event)) burst.resolve(true);
    return false;
  };
  const end = read();
  while (await Promise.race([burst.promise, end])) {
    await sleep(SETTLE_MS);
    burst = Promise.withResolvers();
    yield;
  }
}
