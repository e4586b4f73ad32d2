import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import {
  type CallOptions,
  type ListedRoute,
  openRtnetlink,
  type Rtnetlink,
  type RtnetlinkEvent,
} from "@loden/rtnetlink";

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

/** Answers how addresses are reached, and says when that may have changed. */
export interface Reachability extends Disposable {
  /** Asks the kernel, as `ip route get ADDRESS`. */
  reach(address: Address, options?: CallOptions): Promise<Reach>;
  /**
   * Yields some 20 ms after routes, addresses or links changed, once for all changes of that time. What routes with the protocol number of ours do
   * does not count. Open when it returns; iterate once. `break` and {@link Reachability.close} end it, aborting rejects with `signal.reason`.
   */
  watch(options?: CallOptions): AsyncIterable<void>;
  /** Ends the watches. Again does nothing. */
  close(): void;
}

/** Options of {@link openReachability}. */
export interface OpenReachabilityOptions {
  /** Namespace to ask in; without it, that of the calling thread. Keep it open as long as this. */
  readonly netns?: Netns | undefined;
  /** Protocol number of routes of ours, which reach overlays and no hosts. Default 76, Loden's. */
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
  const { netns, protocol = 76 } = options;
  const rtnetlink = openRtnetlink({ netns });
  const watching = new Set<Rtnetlink>();
  const close = (): void => {
    for (const own of [rtnetlink, ...watching]) own.close();
  };
  return {
    reach: async (address, call) => reachOf(await rtnetlink.routes.lookup(address, call)),
    watch: (call) => {
      const own = openRtnetlink({ netns });
      watching.add(own);
      // The kernel removes IPv4 routes without a word when their link goes down, so links count.
      const events = own.watch(["links", "addresses", "routes"], call);
      const matters = (event: RtnetlinkEvent): boolean =>
        event.type !== "route" || event.route.protocol !== protocol;
      return settled(events, matters, () => {
        watching.delete(own);
        own.close();
      });
    },
    close,
    [Symbol.dispose]: close,
  };
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
  release: () => void,
): AsyncGenerator<void> {
  let burst = Promise.withResolvers<true>();
  const read = async (): Promise<false> => {
    for await (const event of events) if (matters(event)) burst.resolve(true);
    return false;
  };
  const end = read();
  try {
    while (await Promise.race([burst.promise, end])) {
      await sleep(SETTLE_MS);
      burst = Promise.withResolvers();
      yield;
    }
  } finally {
    release();
  }
}
