import {
  closeFd,
  constants,
  errno,
  KernelError,
  receiveFrom,
  setSocketOption,
  watchReadable,
} from "@loden/linux";
import {
  addressFamilyOf,
  decodeAddress,
  decodeLink,
  decodeMessages,
  decodeNeighbour,
  decodeRoute,
  decodeRule,
  MessageFlag,
  MessageType,
  type NetlinkMessage,
} from "@loden/netlink";
import { openNetlinkFd } from "@loden/netlink-socket";
import type { Netns } from "@loden/netns";
import { ReadableStream, type ReadableStreamDefaultController } from "node:stream/web";
import { type LinkAddress, linkAddressOf } from "./addresses/link-address.ts";
import type { CallOptions } from "./call-options.ts";
import { type FdbEntry, fdbEntryOf } from "./fdb/fdb-entry.ts";
import { type Link, linkOf } from "./links/link.ts";
import { linkNames } from "./links/link-names.ts";
import { type Neighbour, neighbourOf } from "./neighbours/neighbour.ts";
import type { ListedRoute } from "./routes/route.ts";
import { listedRoute } from "./routes/route-message.ts";
import { type ListedRule, ruleOf } from "./rules/rule.ts";
import type { RequestSocket } from "./socket/request-socket.ts";

/** What can be watched. */
export type WatchGroup = "links" | "addresses" | "neighbours" | "fdb" | "routes" | "rules";

/**
 * A change, or `overrun`: changes came faster than they were read and some are lost, so list again. `set` is a new object
 * or a changed one, which the kernel does not tell apart; a route that took another's place is `replaced`. A rule that does
 * something that has no name here (`goto`, say) is told of as `undefined`.
 */
export type RtnetlinkEvent =
  | { readonly type: "link"; readonly change: "set" | "deleted"; readonly link: Link }
  | { readonly type: "address"; readonly change: "set" | "deleted"; readonly address: LinkAddress }
  | { readonly type: "neighbour"; readonly change: "set" | "deleted"; readonly neighbour: Neighbour }
  | { readonly type: "fdb"; readonly change: "set" | "deleted"; readonly entry: FdbEntry }
  | { readonly type: "route"; readonly change: "set" | "replaced" | "deleted"; readonly route: ListedRoute }
  | { readonly type: "rule"; readonly change: "set" | "deleted"; readonly rule: ListedRule | undefined }
  | { readonly type: "overrun" };

/** Options of a watch. */
export interface WatchOptions extends CallOptions {
  /** Bytes of notifications that may wait in the kernel; more makes an overrun. Default 4 MiB. */
  readonly receiveBufferBytes?: number | undefined;
  /** Whether to yield what this connection does itself; the kernel names who did it, but not for forwarding entries. Default true. */
  readonly own?: boolean | undefined;
}

/** The largest notification. */
const RECEIVE_BYTES = 65_536;

/** Events that may wait to be read; more makes an overrun. */
const WAITING_EVENTS = 65_536;

/** Multicast groups as bits (RTNLGRP_* - 1). Links are always among them, for their names. */
const groupBits: Readonly<Record<WatchGroup, number>> = {
  links: 1 << 0,
  neighbours: 1 << 2,
  fdb: 1 << 2,
  addresses: (1 << 4) | (1 << 8),
  routes: (1 << 6) | (1 << 10),
  rules: (1 << 7) | (1 << 18),
};

const AF_BRIDGE = 7;

/**
 * Watches the kernel's notifications on a socket of its own, which is open when this function returns: what happens from
 * then on is seen, so that listing afterwards misses nothing.
 *
 * @param socket For the names of links.
 * @param ends Functions that end the open watches; this one puts its own there while it is open.
 */
export function watch(
  socket: RequestSocket,
  netns: Netns | undefined,
  groups: readonly WatchGroup[],
  ends: Set<() => void>,
  { signal, receiveBufferBytes = 4 << 20, own = true }: WatchOptions = {},
): AsyncIterable<RtnetlinkEvent> {
  signal?.throwIfAborted();
  const mask = groups.reduce((bits, group) => bits | groupBits[group], groupBits.links);
  const fd = openNetlinkFd({ protocol: "route", netns, groups: mask, nonBlocking: true });
  setReceiveBuffer(fd, receiveBufferBytes);
  const reader = new EventReader(fd, socket, new Set(groups), own);

  let lost = false;
  let controller!: ReadableStreamDefaultController<RtnetlinkEvent>;
  const release = (): void => {
    if (!ends.delete(end)) return;
    signal?.removeEventListener("abort", abort);
    readable.close();
    closeFd(fd);
  };
  const end = (): void => {
    release();
    controller.close();
  };
  const abort = (): void => {
    release();
    controller.error(signal?.reason);
  };
  const push = (event: RtnetlinkEvent): void => {
    if ((controller.desiredSize ?? 0) > 0 && !lost) controller.enqueue(event);
    else lost = true;
  };
  const stream = new ReadableStream<RtnetlinkEvent>(
    {
      start: (created) => {
        controller = created;
      },
      pull: () => {
        if (!lost) return;
        lost = false;
        controller.enqueue({ type: "overrun" });
      },
      cancel: release,
    },
    { highWaterMark: WAITING_EVENTS },
  );
  const readable = watchReadable(fd, () => {
    try {
      reader.drain(push);
    } catch (error) {
      release();
      controller.error(error);
    }
  });
  ends.add(end);
  signal?.addEventListener("abort", abort);
  return stream;
}

function setReceiveBuffer(fd: number, bytes: number): void {
  try {
    setSocketOption(fd, constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, bytes);
  } catch {
    setSocketOption(fd, constants.SOL_SOCKET, constants.SO_RCVBUF, bytes);
  }
}

/** Reads notifications and makes events of them; keeps the names of links, since a notification has only the index. */
class EventReader {
  readonly #fd: number;
  readonly #socket: RequestSocket;
  readonly #groups: ReadonlySet<WatchGroup>;
  readonly #own: boolean;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #names: Map<number, string>;

  /** @param own Whether to hand on what `socket` itself asked for. */
  constructor(fd: number, socket: RequestSocket, groups: ReadonlySet<WatchGroup>, own: boolean) {
    this.#fd = fd;
    this.#socket = socket;
    this.#groups = groups;
    this.#own = own;
    this.#names = linkNames(socket);
  }

  /** Hands every waiting event to `push`. */
  drain(push: (event: RtnetlinkEvent) => void): void {
    for (;;) {
      try {
        const received = receiveFrom(this.#fd, this.#buffer, constants.MSG_TRUNC);
        if (received === undefined) return;
        if (received.length > this.#buffer.length) this.#overrun(push);
        else
          for (const message of decodeMessages(this.#buffer.subarray(0, received.length))) {
            const event = this.#eventOf(message);
            if (event) push(event);
          }
      } catch (error) {
        if (!(error instanceof KernelError && error.errno === errno.ENOBUFS)) throw error;
        this.#overrun(push);
      }
    }
  }

  #overrun(push: (event: RtnetlinkEvent) => void): void {
    this.#names = linkNames(this.#socket);
    push({ type: "overrun" });
  }

  #eventOf({ type, flags, portId, payload }: NetlinkMessage): RtnetlinkEvent | undefined {
    const isPassedOver = !this.#own && portId !== 0 && portId === this.#socket.portId;
    if (isPassedOver && type !== MessageType.newLink) return undefined; // whose names are needed
    const nameOf = (index: number): string | undefined => this.#names.get(index);
    switch (type) {
      case MessageType.newLink:
      case MessageType.deleteLink: {
        const message = decodeLink(payload);
        if (message.family === AF_BRIDGE) return undefined; // a bridge port's settings, not a link
        const link = linkOf(message, nameOf);
        if (type === MessageType.newLink) this.#names.set(link.index, link.name);
        if (!this.#groups.has("links") || isPassedOver) return undefined;
        return { type: "link", change: type === MessageType.newLink ? "set" : "deleted", link };
      }
      case MessageType.newAddress:
      case MessageType.deleteAddress: {
        const message = decodeAddress(payload);
        const address = linkAddressOf(message, nameOf(message.interfaceIndex) ?? "");
        return { type: "address", change: type === MessageType.newAddress ? "set" : "deleted", address };
      }
      case MessageType.newNeighbour:
      case MessageType.deleteNeighbour: {
        const message = decodeNeighbour(payload);
        const change = type === MessageType.newNeighbour ? "set" : "deleted";
        if (message.family === AF_BRIDGE) {
          const entry = this.#groups.has("fdb") ? fdbEntryOf(message, nameOf) : undefined;
          return entry && { type: "fdb", change, entry };
        }
        if (!this.#groups.has("neighbours")) return undefined;
        const neighbour = neighbourOf(message, nameOf(message.interfaceIndex) ?? "");
        return neighbour && { type: "neighbour", change, neighbour };
      }
      case MessageType.newRoute:
        return {
          type: "route",
          change: flags & MessageFlag.replace ? "replaced" : "set",
          route: listedRoute(decodeRoute(payload), nameOf),
        };
      case MessageType.deleteRoute:
        return { type: "route", change: "deleted", route: listedRoute(decodeRoute(payload), nameOf) };
      case MessageType.newRule:
      case MessageType.deleteRule:
        // Rules of multicast routing have a family of their own, and come in the same groups.
        if (addressFamilyOf(payload[0]) === undefined) return undefined;
        return {
          type: "rule",
          change: type === MessageType.newRule ? "set" : "deleted",
          rule: ruleOf(decodeRule(payload)),
        };
      default:
        return undefined;
    }
  }
}
