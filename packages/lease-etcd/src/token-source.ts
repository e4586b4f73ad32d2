import { EtcdStatusError, GrpcStatus } from "./etcd-errors.ts";
import type { EtcdMember } from "./etcd-member.ts";

/** A user of etcd. */
export interface EtcdCredentials {
  readonly username: string;
  readonly password: string;
}

/** Gets a token for a user when one is needed, once for all calls that wait. */
export class TokenSource {
  readonly #credentials: EtcdCredentials | undefined;
  readonly #timeoutMs: number;
  #pending: Promise<string | undefined> | undefined;
  #token: string | undefined;

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
    // One caller that gives up takes nothing from the others, so the shared request has no signal.
    this.#pending ??= this.#authenticate(member, this.#credentials);
    return orAborted(this.#pending, signal);
  }

  /**
   * Forgets a token that did not do, unless there is a newer one already.
   *
   * @param token - what `get` returned
   * @returns whether another one may do better
   */
  discard(token: string | undefined): boolean {
    if (this.#credentials === undefined) return false;
    if (this.#token === token) {
      this.#token = undefined;
      this.#pending = undefined;
    }
    return true;
  }

  async #authenticate(member: EtcdMember, credentials: EtcdCredentials): Promise<string | undefined> {
    const { username: name, password } = credentials;
    try {
      const options = { token: undefined, timeoutMs: this.#timeoutMs };
      const answer = await member.call("Auth", "authenticate", { name, password }, options);
      this.#token = String(answer["token"]);
      return this.#token;
    } catch (error) {
      if (isWithoutAuth(error)) return undefined;
      this.#pending = undefined;
      throw error;
    }
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
