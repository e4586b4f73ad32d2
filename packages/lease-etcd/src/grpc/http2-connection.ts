import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from "node:http2";
import type { EtcdTls } from "../transport/etcd-member.ts";

/** How long a member may take to greet, in milliseconds: from the first packet to its SETTINGS. */
const greetingMs = 2_000;
/** How often a connection in use is asked whether it lives, in milliseconds; etcd ends one that asks more often than every 5 s. */
const keepaliveMs = 6_000;
/** How long the answer may take, in milliseconds. */
const keepaliveAnswerMs = 2_000;
/** Asking again sooner than this is left out, in milliseconds. */
const askingGapMs = 5_500;
/** How much may be under way to us, in bytes: a list of 65,536 leases has some 10 MB. */
const windowBytes = 4 * 1024 * 1024;

/** One HTTP/2 connection that notices when the other end hangs. It never comes back: open another one. */
export class Http2Connection {
  readonly #session: ClientHttp2Session;
  #openStreams = 0;
  #keepalive: NodeJS.Timeout | undefined;
  #answer: NodeJS.Timeout | undefined;
  #askedAt = -Infinity;

  /**
   * @param endpoint - such as `https://10.0.0.1:2379`
   * @param tls - certificates, for an `https` endpoint
   */
  constructor(endpoint: string, tls: EtcdTls) {
    const settings = { enablePush: false, initialWindowSize: windowBytes };
    const session = connect(endpoint, { ...pem(tls), settings });
    this.#session = session;
    const greeting = setTimeout(() => this.end(`no HTTP/2 greeting within ${greetingMs} ms`), greetingMs);
    session.once("connect", () => {
      // It may have been ended in the same moment.
      if (!session.destroyed) session.setLocalWindowSize(windowBytes);
    });
    session.once("remoteSettings", () => clearTimeout(greeting));
    // Its streams fail with it and say why.
    session.on("error", () => {});
    session.once("close", () => {
      for (const timer of [greeting, this.#keepalive, this.#answer]) clearTimeout(timer);
    });
  }

  /** Whether requests can be made. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /**
   * Begins a request. It is sent as soon as there is a connection.
   *
   * @param headers - pseudo headers and others
   * @returns the stream
   * @throws {Error} when the connection takes no more
   */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.#session.request(headers);
    this.#openStreams += 1;
    if (this.#openStreams === 1) this.#keepAlive();
    stream.once("close", () => {
      this.#openStreams -= 1;
      if (this.#openStreams === 0) clearTimeout(this.#keepalive);
    });
    return stream;
  }

  /** Asks the other end whether it lives, unless that was done a moment ago, and ends the connection when it does not answer. */
  probe(): void {
    const isTooSoon = performance.now() - this.#askedAt < askingGapMs;
    if (isTooSoon || this.#session.destroyed || this.#session.connecting) return;
    this.#askedAt = performance.now();
    const late = `no answer to a ping within ${keepaliveAnswerMs} ms`;
    this.#answer = setTimeout(() => this.end(late), keepaliveAnswerMs);
    this.#session.ping(() => clearTimeout(this.#answer));
  }

  /**
   * Ends it and all its streams. A second call changes nothing.
   *
   * @param why - what they are told
   */
  end(why: string): void {
    this.#session.destroy(new Error(why));
  }

  #keepAlive(): void {
    clearTimeout(this.#keepalive);
    this.#keepalive = setTimeout(() => {
      this.probe();
      this.#keepAlive();
    }, keepaliveMs);
  }
}

function pem({ ca, cert, key }: EtcdTls): SecureClientSessionOptions {
  const given = Object.entries({ ca, cert, key }).filter((entry) => entry[1] !== undefined);
  return Object.fromEntries(given.map(([name, text]) => [name, Buffer.from(text as Uint8Array)]));
}
