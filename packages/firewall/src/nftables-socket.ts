import {
  bindSocket,
  closeFd,
  constants,
  errno,
  KernelError,
  NotSupportedError,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import {
  decodeMessages,
  decodeNftGeneration,
  decodeStatus,
  encodeMessages,
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
import type { Netns } from "@loden/netns";
import type { NftablesConnection, NftRequest, Refusal } from "./nftables-connection.ts";

/** NETLINK_NETFILTER */
const NETFILTER = 12;
/** Options of level SOL_NETLINK (linux/netlink.h). */
const CAP_ACK = 10;
const EXTENDED_ACK = 11;
/** The ruleset has another generation than the batch was made for. */
const ERESTART = 85;
/** The kernel cuts dumps into pieces of at most 32 KiB; a single message can be a little larger. */
const RECEIVE_BYTES = 65_536;
/** A batch must fit the socket's send buffer, of which the kernel counts about half for itself. */
const USUAL_BATCH_BYTES = 65_536;
/** The first kernel on which one NAT chain is enough for both directions. */
const LEAST_KERNEL = "4.18";

/** The kernel works a request off within the send, so every exchange is synchronous and its answers are there at once. */
export class NftablesSocket implements NftablesConnection {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;
  #closed = false;

  /** @param netns Where; without one, in the namespace of the calling thread. The socket stays in there. */
  constructor(netns: Netns | undefined) {
    const open = (): number => openNetfilterSocket();
    this.#fd = netns ? netns.run(open) : open();
  }

  generation(): number {
    const attempt = (): string => "read the ruleset's generation";
    const payload = encodeNftFilter();
    const sequence = this.#send([{ type: NftMessageType.getGeneration, payload, attempt }], 0);
    for (const message of this.#answers(attempt)) {
      if (message.sequence !== sequence) continue;
      if (message.type === NftMessageType.newGeneration) return decodeNftGeneration(message.payload);
      if (message.type === MessageType.error) throw generationError(decodeStatus(message), attempt);
    }
    throw kernelError(attempt, { errno: errno.ETIMEDOUT });
  }

  dump<T>(type: number, filter: NftFilter, read: (payload: Uint8Array) => T): T[] {
    const attempt = (): string => `list ${LISTED[type] ?? "objects"} of nftables`;
    const sequence = this.#send([{ type, payload: encodeNftFilter(filter), attempt }], MessageFlag.dump);
    const values: T[] = [];
    let failure: unknown;
    for (const message of this.#answers(attempt)) {
      if (message.sequence !== sequence) continue;
      if (message.type === MessageType.done || message.type === MessageType.error) {
        const status = decodeStatus(message);
        if (status.errno !== 0) throw kernelError(attempt, status);
        if (failure !== undefined) throw failure;
        return values;
      }
      // Read to the end even after a failure: a socket has one dump at a time.
      try {
        if (failure === undefined) values.push(read(message.payload));
      } catch (error) {
        failure = error;
      }
    }
    throw kernelError(attempt, { errno: errno.ETIMEDOUT });
  }

  commit(generation: number, requests: readonly NftRequest[]): "stale" | readonly Refusal[] {
    const attempt = (): string => "change the ruleset";
    const begin = { type: NftMessageType.batchBegin, payload: encodeNftBatchBegin({ generation }), attempt };
    const end = { type: NftMessageType.batchEnd, payload: encodeNftBatchEnd(), attempt };
    const last = requests.length;
    const first = this.#send([begin, ...requests, end], (index) =>
      index === last ? MessageFlag.acknowledge : 0,
    );
    const refusals: Refusal[] = [];
    let acknowledged = false;
    for (const message of this.#answers(attempt)) {
      const index = (message.sequence - first) >>> 0;
      if (message.type !== MessageType.error || index > last + 1) continue;
      const status = decodeStatus(message);
      const request = requests[index - 1];
      if (status.errno === 0) acknowledged ||= index === last;
      else if (request) refusals.push({ request, error: kernelError(request.attempt, status) });
      else if (status.errno === ERESTART) return "stale";
      else throw kernelError(attempt, status); // of the batch as a whole
    }
    if (refusals.length === 0 && !acknowledged) throw kernelError(attempt, { errno: errno.ETIMEDOUT });
    return refusals;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }

  /** Sends messages as one datagram and returns the sequence number of the first. */
  #send(requests: readonly NftRequest[], flags: number | ((index: number) => number)): number {
    if (this.#closed)
      throw new Error(`Cannot ${requests[0]!.attempt()}: the firewall is closed, expected it open`);
    const first = (this.#sequence + 1) >>> 0;
    const bytes = encodeMessages(
      requests.map((request, index) => ({
        type: request.type,
        flags:
          (request.flags ?? 0) | MessageFlag.request | (typeof flags === "number" ? flags : flags(index)),
        sequence: (first + index) >>> 0,
        portId: 0,
        payload: request.payload,
      })),
    );
    this.#sequence = (first + requests.length - 1) >>> 0;
    if (bytes.length > USUAL_BATCH_BYTES)
      setSocketOption(this.#fd, constants.SOL_SOCKET, constants.SO_SNDBUFFORCE, bytes.length * 2);
    if (sendTo(this.#fd, bytes) === undefined)
      throw kernelError(requests[0]!.attempt, { errno: errno.EAGAIN });
    return first;
  }

  /** What waits in the socket, and what the kernel adds to a dump while it is read. */
  *#answers(attempt: () => string): Generator<NetlinkMessage> {
    for (;;) {
      const received = this.#receive();
      if (received === undefined) return;
      if (received.length > this.#buffer.length) throw kernelError(attempt, { errno: errno.EMSGSIZE });
      yield* decodeMessages(this.#buffer.subarray(0, received.length));
    }
  }

  #receive(): ReturnType<typeof receiveFrom> {
    const flags = constants.MSG_DONTWAIT | constants.MSG_TRUNC;
    try {
      return receiveFrom(this.#fd, this.#buffer, flags);
    } catch (error) {
      // More refusals than the socket could hold: the first ones are there.
      if (!(error instanceof KernelError && error.errno === errno.ENOBUFS)) throw error;
      return receiveFrom(this.#fd, this.#buffer, flags);
    }
  }
}

const LISTED: Readonly<Record<number, string>> = {
  [NftMessageType.getTable]: "tables",
  [NftMessageType.getChain]: "chains",
  [NftMessageType.getRule]: "rules",
};

function openNetfilterSocket(): number {
  const fd = openSocketOrExplain();
  try {
    // struct sockaddr_nl: family, padding, port id (0: the kernel picks one), groups.
    const address = new Uint8Array(12);
    new DataView(address.buffer).setUint16(0, constants.AF_NETLINK, true);
    bindSocket(fd, address, "a netlink address");
    for (const option of [CAP_ACK, EXTENDED_ACK]) setSocketOption(fd, constants.SOL_NETLINK, option, 1);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function openSocketOrExplain(): number {
  try {
    return openSocket(constants.AF_NETLINK, constants.SOCK_RAW, NETFILTER);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === errno.EPROTONOSUPPORT)) throw error;
    throw new NotSupportedError("netfilter's netlink", LEAST_KERNEL, { cause: error });
  }
}

/** The first thing that is asked for: a kernel that does not know nf_tables answers EINVAL. */
function generationError(status: NetlinkStatus, attempt: () => string): Error {
  const cause = kernelError(attempt, status);
  const unknown = [errno.EINVAL, errno.EOPNOTSUPP].includes(status.errno);
  return unknown ? new NotSupportedError("nf_tables", LEAST_KERNEL, { cause }) : cause;
}

function kernelError(attempt: () => string, status: NetlinkStatus): KernelError {
  return new KernelError({
    attempt: attempt(),
    syscall: "netlink",
    errno: status.errno,
    detail: status.detail,
  });
}
