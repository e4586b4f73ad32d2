import { errno, KernelError, NotSupportedError } from "@loden/linux";
import {
  decodeNftGeneration,
  decodeStatus,
  encodeNftBatchBegin,
  encodeNftBatchEnd,
  encodeNftFilter,
  MessageFlag,
  MessageType,
  type NetlinkMessage,
  type NetlinkStatus,
  type NftFilter,
  NftMessageType,
} from "@loden/netlink";
import {
  netlinkError,
  type NetlinkRequest,
  type NetlinkSocket,
  openNetlinkSocket,
} from "@loden/netlink-socket";
import type { Netns } from "@loden/netns";
import type { NftablesConnection, NftRequest, Refusal } from "./nftables-connection.ts";

/** The ruleset has another generation than the batch was made for. */
const ERESTART = 85;
/** A batch must fit the socket's send buffer; larger ones want a larger one. */
const USUAL_BATCH_BYTES = 65_536;
/** The first kernel on which one NAT chain is enough for both directions. */
const LEAST_KERNEL = "4.18";

/** The kernel works a request off within the send, so every exchange is synchronous and its answers are there at once. */
export class NftablesSocket implements NftablesConnection {
  readonly #socket: NetlinkSocket;

  /** @param netns Where; without one, in the namespace of the calling thread. The socket stays in there. */
  constructor(netns: Netns | undefined) {
    this.#socket = openSocketOrExplain(netns);
  }

  generation(): number {
    const attempt = (): string => "read the ruleset's generation";
    const request = { type: NftMessageType.getGeneration, payload: encodeNftFilter(), attempt };
    const sequence = this.#socket.send([request], () => 0);
    for (const message of this.#answers(request)) {
      if (message.sequence !== sequence) continue;
      if (message.type === NftMessageType.newGeneration) return decodeNftGeneration(message.payload);
      if (message.type === MessageType.error) throw generationError(request, decodeStatus(message));
    }
    throw netlinkError(request, { errno: errno.ETIMEDOUT });
  }

  dump<T>(type: number, filter: NftFilter, read: (payload: Uint8Array) => T): T[] {
    const attempt = (): string => `list ${LISTED[type] ?? "objects"} of nftables`;
    const request = { type, payload: encodeNftFilter(filter), attempt };
    // Whether it is one state, the generations before and after say.
    return this.#socket.dump(request, ({ payload }) => read(payload), "take");
  }

  commit(generation: number, requests: readonly NftRequest[]): "stale" | readonly Refusal[] {
    const attempt = (): string => "change the ruleset";
    const begin = { type: NftMessageType.batchBegin, payload: encodeNftBatchBegin({ generation }), attempt };
    const end = { type: NftMessageType.batchEnd, payload: encodeNftBatchEnd(), attempt };
    const last = requests.length;
    const bytes = requests.reduce((sum, { payload }) => sum + MESSAGE_BYTES + payload.length, 0);
    if (bytes > USUAL_BATCH_BYTES) this.#socket.reserve(bytes);
    const first = this.#socket.send([begin, ...requests, end], (index) =>
      index === last ? MessageFlag.acknowledge : 0,
    );
    const refusals: Refusal[] = [];
    let acknowledged = false;
    for (const message of this.#answers(begin)) {
      const index = (message.sequence - first) >>> 0;
      if (message.type !== MessageType.error || index > last + 1) continue;
      const status = decodeStatus(message);
      const request = requests[index - 1];
      if (status.errno === 0) acknowledged ||= index === last;
      else if (request) refusals.push({ request, error: netlinkError(request, status) });
      else if (status.errno === ERESTART) return "stale";
      else throw netlinkError(begin, status); // of the batch as a whole
    }
    if (refusals.length === 0 && !acknowledged) throw netlinkError(begin, { errno: errno.ETIMEDOUT });
    return refusals;
  }

  close(): void {
    this.#socket.close();
  }

  /** What waits in the socket. */
  *#answers(request: NetlinkRequest): Generator<NetlinkMessage> {
    for (;;) {
      const messages = this.#receive(request);
      if (messages === undefined) return;
      yield* messages;
    }
  }

  #receive(request: NetlinkRequest): readonly NetlinkMessage[] | undefined {
    try {
      return this.#socket.receiveNow(request);
    } catch (error) {
      // More refusals than the socket could hold: the first ones are there.
      if (!(error instanceof KernelError && error.errno === errno.ENOBUFS)) throw error;
      return this.#socket.receiveNow(request);
    }
  }
}

/** Header and padding of a message, at most; and the batch's own two. */
const MESSAGE_BYTES = 20;

const LISTED: Readonly<Record<number, string>> = {
  [NftMessageType.getTable]: "tables",
  [NftMessageType.getChain]: "chains",
  [NftMessageType.getRule]: "rules",
};

function openSocketOrExplain(netns: Netns | undefined): NetlinkSocket {
  try {
    return openNetlinkSocket({ protocol: "netfilter", netns });
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === errno.EPROTONOSUPPORT)) throw error;
    throw new NotSupportedError("netfilter's netlink", LEAST_KERNEL, { cause: error });
  }
}

/** The first thing that is asked for: a kernel that does not know nf_tables answers EINVAL. */
function generationError(request: NetlinkRequest, status: NetlinkStatus): Error {
  const cause = netlinkError(request, status);
  const unknown = [errno.EINVAL, errno.EOPNOTSUPP].includes(status.errno);
  return unknown ? new NotSupportedError("nf_tables", LEAST_KERNEL, { cause }) : cause;
}
