import { StoreClosedError } from "@loden/lease";
import { Attempts } from "./attempts.ts";
import {
  EtcdStatusError,
  GrpcStatus,
  isDenied,
  isStaleToken,
  isTransient,
  StoreDeniedError,
  StoreUnavailableError,
} from "../etcd-errors.ts";
import type { EtcdMember, EtcdMethod, MemberCallOptions } from "./etcd-member.ts";
import {
  decodeRange,
  decodeTimeToLive,
  decodeTxn,
  encodeLeaseGrant,
  encodeLeaseId,
  encodeRange,
  encodeTxn,
  encodeWatch,
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
 * Makes one transport of the members of a cluster. Calls go to one member until it fails, then to the next one. A member
 * that is silent for a tenth of its time is not waited for: the next one is asked beside it, and whoever answers first is
 * heard. When all members have failed, it waits a moment that doubles from 50 ms, shortened by up to half at random.
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
    return decodeRange(await this.#call("KV/Range", encodeRange(request), options));
  }

  async txn(request: TxnRequest, options: TransportCallOptions): Promise<TxnAnswer> {
    return decodeTxn(await this.#call("KV/Txn", encodeTxn(request), options));
  }

  async leaseGrant(
    request: { id: string; ttlSeconds: number },
    options: TransportCallOptions,
  ): Promise<void> {
    try {
      await this.#call("Lease/LeaseGrant", encodeLeaseGrant(request), options);
    } catch (error) {
      // An earlier attempt did it; hardly anybody else chooses this id.
      if (!(error instanceof EtcdStatusError && error.details.includes("lease already exists"))) throw error;
    }
  }

  async leaseRevoke(id: string, options: TransportCallOptions): Promise<void> {
    try {
      await this.#call("Lease/LeaseRevoke", encodeLeaseId(id), options);
    } catch (error) {
      if (!(error instanceof EtcdStatusError && error.status === GrpcStatus.notFound)) throw error;
    }
  }

  async leaseTimeToLive(id: string, options: TransportCallOptions): Promise<number> {
    return decodeTimeToLive(await this.#call("Lease/LeaseTimeToLive", encodeLeaseId(id), options));
  }

  watchStream(request: WatchRequest, options: TransportCallOptions): Promise<EtcdWatchStream> {
    const signal = options.signal ?? this.#closed.signal;
    // One after another, as each has a stream of its own; quick in the first rounds, so that a member that hangs costs little.
    const quickRounds = this.#members.length > 1 ? 2 : 0;
    const timeOf = (round: number): number => this.#callTimeoutMs / (round < quickRounds ? 4 : 1);
    return this.#tryMembers(options, { hedges: false, timeOf }, (member, { token, timeoutMs }) => {
      const abandon = (): void => this.#avoid(member);
      return openWatchStream(member, encodeWatch(request), { token, timeoutMs, signal, abandon });
    });
  }

  close(): void {
    this.#closed.abort();
    for (const member of this.#members) member.close();
  }

  #call(method: EtcdMethod, request: Uint8Array, options: TransportCallOptions): Promise<Uint8Array> {
    const { isLarge = false } = options;
    const timeOf = (round: number): number => this.#callTimeoutMs * (isLarge ? 2 ** round : 1);
    return this.#tryMembers(options, { hedges: !isLarge, timeOf }, (member, attempt) =>
      member.call(method, request, attempt),
    );
  }

  async #tryMembers<Result>(
    { operation, signal, isLarge = false }: TransportCallOptions,
    { hedges, timeOf }: Pace,
    run: (member: EtcdMember, options: MemberCallOptions) => Promise<Result>,
  ): Promise<Result> {
    const failures = new Map<string, EtcdStatusError>();
    // Three times, or three rounds that double.
    const giveUp = performance.now() + (isLarge ? 7 : 3) * this.#callTimeoutMs;
    const leftMs = (): number => giveUp - performance.now();
    const silenceMs = hedges && this.#members.length > 1 ? this.#callTimeoutMs / 10 : Infinity;
    const attempts = new Attempts<Attempt, Result>();
    const wake = (): void => attempts.wake();
    const stops = [this.#closed.signal, ...(signal === undefined ? [] : [signal])];
    for (const stop of stops) stop.addEventListener("abort", wake);
    try {
      let [begun, failed, staleTokens] = [0, 0, 0];
      let index = this.#preferred;
      let nextAt = performance.now();
      for (;;) {
        this.#checkStopped(operation, signal);
        if (performance.now() >= nextAt) {
          // An attempt that cannot succeed any more would only hide why the others failed.
          if (leftMs() >= this.#callTimeoutMs / 10) {
            const round = Math.floor(begun / this.#members.length);
            this.#begin(attempts, index, Math.min(timeOf(round), leftMs()), run);
            [begun, index] = [begun + 1, (index + 1) % this.#members.length];
            nextAt = performance.now() + silenceMs;
          } else {
            if (attempts.running === 0) throw new StoreUnavailableError(operation, failures);
            nextAt = Infinity;
          }
        }
        const ended = await attempts.next(nextAt - performance.now());
        if (ended === undefined) continue;
        const { attempt } = ended;
        if ("result" in ended) {
          if (begun > 1) this.#preferred = attempt.index;
          return ended.result;
        }
        this.#checkStopped(operation, signal);
        const { error } = ended;
        if (!(error instanceof EtcdStatusError)) throw error;
        const member = this.#members[attempt.index] as EtcdMember;
        failures.set(member.endpoint, error);
        if (attempt.hasToken && this.#tokens.areNeeded && mayBeStale(error)) {
          if (this.#tokens.discard(attempt.token)) staleTokens += 1;
          if (staleTokens <= 2) {
            // A member may not know the token yet that another one gave.
            nextAt = performance.now() + (staleTokens < 2 ? 0 : this.#pauseMs(1));
            [begun, index] = [begun - 1, attempt.index];
            continue;
          }
        }
        if (isDenied(error)) throw new StoreDeniedError(operation, error);
        if (!isTransient(error)) throw error;
        failed += 1;
        this.#avoid(member);
        const isRoundOver = failed % this.#members.length === 0;
        nextAt = performance.now() + (isRoundOver ? this.#pauseMs(failed / this.#members.length) : 0);
        // A pause that outlasts the call ends it now.
        if (nextAt > giveUp && attempts.running === 0) throw new StoreUnavailableError(operation, failures);
      }
    } finally {
      for (const stop of stops) stop.removeEventListener("abort", wake);
      attempts.abort();
    }
  }

  #begin<Result>(
    attempts: Attempts<Attempt, Result>,
    index: number,
    timeoutMs: number,
    run: (member: EtcdMember, options: MemberCallOptions) => Promise<Result>,
  ): void {
    const attempt: Attempt = { index, hasToken: false, token: undefined };
    const member = this.#members[index] as EtcdMember;
    attempts.begin(attempt, async (signal) => {
      attempt.token = await this.#tokens.get(member, signal);
      attempt.hasToken = true;
      return run(member, { token: attempt.token, timeoutMs, signal });
    });
  }

  #checkStopped(operation: string, signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed.signal.aborted) throw new StoreClosedError(operation);
  }

  #avoid(member: EtcdMember): void {
    // Not when another call has moved on already.
    if (this.#members[this.#preferred] !== member) return;
    this.#preferred = (this.#preferred + 1) % this.#members.length;
  }

  /** Short, as the members of a cluster that elects a leader answer at once that they have none. */
  #pauseMs(round: number): number {
    return Math.min(50 * 2 ** (round - 1), this.#callTimeoutMs / 8) * (1 - this.#random() / 2);
  }
}

/** How the members are asked. */
interface Pace {
  /** Whether the next one is asked while one is silent. */
  readonly hedges: boolean;
  /** How long an attempt of a round may take, in milliseconds. */
  readonly timeOf: (round: number) => number;
}

/** One call of one member. */
interface Attempt {
  readonly index: number;
  hasToken: boolean;
  token: string | undefined;
}

// A watch says no more than "permission denied" when its token is unknown, and authentication may have been enabled since.
function mayBeStale(error: EtcdStatusError): boolean {
  return isStaleToken(error) || isDenied(error);
}
