import { StoreClosedError } from "@loden/lease";
import { setTimeout as sleep } from "node:timers/promises";
import {
  EtcdStatusError,
  GrpcStatus,
  isDenied,
  isStaleToken,
  isTransient,
  StoreDeniedError,
  StoreUnavailableError,
} from "./etcd-errors.ts";
import type { EtcdMember, EtcdService } from "./etcd-member.ts";
import {
  decodeRange,
  decodeTxn,
  encodeRange,
  encodeTxn,
  encodeWatch,
  type Message,
} from "./etcd-messages.ts";
import type {
  EtcdTransport,
  EtcdWatchStream,
  RangeAnswer,
  RangeRequest,
  TransportCallOptions,
  TxnAnswer,
  TxnRequest,
  WatchRequest,
} from "./etcd-transport.ts";
import { openWatchStream } from "./open-watch-stream.ts";
import { type EtcdCredentials, TokenSource } from "./token-source.ts";

/** Settings of {@linkcode createEtcdTransport}. */
export interface EtcdTransportOptions {
  /** How long one attempt at one member may take, in milliseconds; a call gives up after three times that. */
  readonly callTimeoutMs: number;
  /** The user, where the cluster wants one. */
  readonly credentials?: EtcdCredentials | undefined;
  /** Where the choice of the first member and jitter come from. */
  readonly random: () => number;
}

/**
 * Makes one transport of the members of a cluster. Calls go to one member until it fails, then to the next one; when a
 * round of all members has failed, it waits a moment that doubles from 50 ms to 1 s, shortened by up to half at random.
 *
 * @param members - at least one; closed with the transport
 * @param options - time limits and the user
 * @returns the transport
 */
export function createEtcdTransport(
  members: readonly EtcdMember[],
  options: EtcdTransportOptions,
): EtcdTransport {
  return new FailoverTransport(members, options);
}

class FailoverTransport implements EtcdTransport {
  readonly #members: readonly EtcdMember[];
  readonly #callTimeoutMs: number;
  readonly #random: () => number;
  readonly #tokens: TokenSource;
  readonly #closed = new AbortController();
  #preferred: number;

  constructor(members: readonly EtcdMember[], { callTimeoutMs, credentials, random }: EtcdTransportOptions) {
    this.#members = members;
    this.#callTimeoutMs = callTimeoutMs;
    this.#random = random;
    this.#tokens = new TokenSource(credentials, callTimeoutMs);
    // Clients that start together spread over the members.
    this.#preferred = Math.floor(random() * members.length);
  }

  async range(request: RangeRequest, options: TransportCallOptions): Promise<RangeAnswer> {
    return decodeRange(await this.#call("KV", "range", encodeRange(request), options));
  }

  async txn(request: TxnRequest, options: TransportCallOptions): Promise<TxnAnswer> {
    return decodeTxn(await this.#call("KV", "txn", encodeTxn(request), options));
  }

  async leaseGrant(
    { id, ttlSeconds }: { id: string; ttlSeconds: number },
    options: TransportCallOptions,
  ): Promise<void> {
    try {
      await this.#call("Lease", "leaseGrant", { ID: id, TTL: ttlSeconds }, options);
    } catch (error) {
      // An earlier attempt did it; hardly anybody else chooses this id.
      if (!(error instanceof EtcdStatusError && error.details.includes("lease already exists"))) throw error;
    }
  }

  async leaseRevoke(id: string, options: TransportCallOptions): Promise<void> {
    try {
      await this.#call("Lease", "leaseRevoke", { ID: id }, options);
    } catch (error) {
      if (!(error instanceof EtcdStatusError && error.status === GrpcStatus.notFound)) throw error;
    }
  }

  async leaseTimeToLive(id: string, options: TransportCallOptions): Promise<number> {
    return Number((await this.#call("Lease", "leaseTimeToLive", { ID: id }, options))["TTL"]);
  }

  watchStream(request: WatchRequest, options: TransportCallOptions): Promise<EtcdWatchStream> {
    return this.#tryMembers(options, async (member, token, timeoutMs) => {
      const abandon = (): void => this.#avoid(member);
      const signal = options.signal === undefined ? this.#closed.signal : options.signal;
      return openWatchStream(member, encodeWatch(request), { token, timeoutMs, signal, abandon });
    });
  }

  close(): void {
    this.#closed.abort();
    for (const member of this.#members) member.close();
  }

  #call(
    service: EtcdService,
    method: string,
    request: Message,
    options: TransportCallOptions,
  ): Promise<Message> {
    const { signal } = options;
    return this.#tryMembers(options, (member, token, timeoutMs) =>
      member.call(service, method, request, { token, timeoutMs, signal }),
    );
  }

  async #tryMembers<Result>(
    { operation, signal, isLarge = false }: TransportCallOptions,
    run: (member: EtcdMember, token: string | undefined, timeoutMs: number) => Promise<Result>,
  ): Promise<Result> {
    const failures = new Map<string, EtcdStatusError>();
    // Three times, or three rounds that double.
    const giveUp = performance.now() + (isLarge ? 7 : 3) * this.#callTimeoutMs;
    let staleTokens = 0;
    for (let attempt = 1; ; attempt += 1) {
      const member = this.#enter(operation, signal);
      let used: { readonly token: string | undefined } | undefined;
      try {
        const token = await this.#tokens.get(member, signal);
        used = { token };
        const round = Math.floor((attempt - 1) / this.#members.length);
        const attemptMs = this.#attemptMs(round, isLarge);
        return await run(member, token, Math.min(attemptMs, Math.max(giveUp - performance.now(), 1)));
      } catch (error) {
        this.#enter(operation, signal);
        if (!(error instanceof EtcdStatusError)) throw error;
        if (used !== undefined && mayBeStale(error) && staleTokens < 2 && this.#tokens.discard(used.token)) {
          staleTokens += 1;
          continue;
        }
        if (isDenied(error)) throw new StoreDeniedError(operation, error);
        if (!isTransient(error)) throw error;
        failures.set(member.endpoint, error);
        this.#avoid(member);
      }
      const isRoundOver = attempt % this.#members.length === 0;
      const delayMs = isRoundOver ? this.#delayMs(attempt / this.#members.length) : 0;
      // An attempt that cannot succeed any more would only hide why the others failed.
      const leftMs = giveUp - performance.now() - delayMs;
      if (leftMs < this.#callTimeoutMs / 10) throw new StoreUnavailableError(operation, failures);
      if (delayMs > 0) await this.#wait(delayMs, operation, signal);
    }
  }

  /**
   * How long one attempt may take. Among several members the first two rounds are quick: a member that hangs, or waits for one that does,
   * costs little before the next is asked. A slow cluster gets the whole time after them.
   */
  #attemptMs(round: number, isLarge: boolean): number {
    if (isLarge) return this.#callTimeoutMs * 2 ** round;
    if (this.#members.length === 1) return this.#callTimeoutMs;
    return round < 2 ? this.#callTimeoutMs / 4 : this.#callTimeoutMs;
  }

  /** The member to try now. */
  #enter(operation: string, signal: AbortSignal | undefined): EtcdMember {
    signal?.throwIfAborted();
    if (this.#closed.signal.aborted) throw new StoreClosedError(operation);
    return this.#members[this.#preferred] as EtcdMember;
  }

  #avoid(member: EtcdMember): void {
    // Not when another call has moved on already.
    if (this.#members[this.#preferred] !== member) return;
    this.#preferred = (this.#preferred + 1) % this.#members.length;
  }

  #delayMs(round: number): number {
    return Math.min(50 * 2 ** (round - 1), 1_000) * (1 - this.#random() / 2);
  }

  async #wait(ms: number, operation: string, signal: AbortSignal | undefined): Promise<void> {
    const closed = this.#closed.signal;
    try {
      await sleep(ms, undefined, {
        signal: signal === undefined ? closed : AbortSignal.any([signal, closed]),
      });
    } catch {
      this.#enter(operation, signal);
    }
  }
}

// A watch says no more than "permission denied" when its token is unknown, and authentication may have been enabled since.
function mayBeStale(error: EtcdStatusError): boolean {
  return isStaleToken(error) || isDenied(error);
}
