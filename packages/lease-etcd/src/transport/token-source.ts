import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";
import type { EtcdMember } from "./etcd-member.ts";
import { decodeToken, encodeAuthenticate } from "./etcd-messages.ts";

/** A user of etcd. */
export interface EtcdCredentials {
  readonly username: string;
  readonly password: string;
}

/** Gets a token for a user when one is needed, once for all calls that wait. */
export class TokenSource {
  readonly #credentials: EtcdCredentials | undefined;
  readonly #timeoutMs: number;
  /** One for each member that is asked: while one hangs, another may answer. */
  readonly #pending = new Map<EtcdMember, Promise<string | undefined>>();
  #known: { readonly token: string | undefined } | undefined;

  /**
   * @param credentials - the user; without one there is never a token
   * @param timeoutMs - how long one attempt at one member may take
   */
  constructor(credentials: EtcdCredentials | undefined, timeoutMs: number) {
    this.#credentials = credentials;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @param member - whom to ask, when there is no token
   * @param signal - gives up
   * @returns the token; `undefined` without a user, and where the cluster wants none
   */
  async get(member: EtcdMember, signal: AbortSignal | undefined): Promise<string | undefined> {
    if (this.#credentials === undefined) return undefined;
    if (this.#known !== undefined) return this.#known.token;
    // One caller that gives up takes nothing from the others, so the shared request has no signal.
    const pending = this.#pending.get(member) ?? this.#authenticate(member, this.#credentials);
    this.#pending.set(member, pending);
    return orAborted(pending, signal);
  }

  /** Whether there is a user. */
  get areNeeded(): boolean {
    return this.#credentials !== undefined;
  }

  /**
   * Forgets a token that did not do, unless there is a newer one already.
   *
   * @param token - what `get` returned
   * @returns whether it was the newest
   */
  discard(token: string | undefined): boolean {
    const isNewest = this.#known?.token === token;
    if (isNewest) this.#known = undefined;
    return isNewest;
  }

  async #authenticate(member: EtcdMember, credentials: EtcdCredentials): Promise<string | undefined> {
    const options = { token: undefined, timeoutMs: this.#timeoutMs };
    try {
      const answer = await member.call("Auth/Authenticate", encodeAuthenticate(credentials), options);
      this.#known = { token: decodeToken(answer) };
    } catch (error) {
      if (!isWithoutAuth(error)) throw error;
      this.#known = { token: undefined };
    } finally {
      this.#pending.delete(member);
    }
    return this.#known.token;
  }
}

// A user was given, but the cluster lets everybody in.
function isWithoutAuth(error: unknown): boolean {
  return (
    error instanceof EtcdStatusError &&
    error.status === GrpcStatus.failedPrecondition &&
    error.details.includes("authentication is not enabled")
  );
}

function orAborted<Result>(pending: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return pending;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    pending.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
