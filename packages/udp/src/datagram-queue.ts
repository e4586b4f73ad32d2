import type { Datagram } from "./portable-udp-socket.ts";

/** How many datagrams wait for a slow reader before newer ones are dropped. */
const MOST_WAITING = 256;

interface Step {
  readonly resolve: (result: IteratorResult<Datagram, undefined>) => void;
  readonly reject: (reason: unknown) => void;
}

/** The datagrams that a socket received and nobody took yet; one iteration at a time takes them. */
export class DatagramQueue {
  readonly #waiting: Datagram[] = [];
  #reader: DatagramReader | undefined;
  #closed = false;
  #overrun = 0;

  /** How many datagrams were dropped because too many waited. */
  get overrun(): number {
    return this.#overrun;
  }

  /** Whether the socket is closed: nothing comes any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Hands a datagram to the reader, or lets it wait, or drops it. */
  add(datagram: Datagram): void {
    if (this.#reader?.offer(datagram) === true) return;
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(datagram);
    else this.#overrun += 1;
  }

  /** Takes the oldest datagram that waits. */
  take(): Datagram | undefined {
    return this.#waiting.shift();
  }

  /** Makes a reader the only one. */
  claim(reader: DatagramReader): void {
    if (this.#reader !== undefined && this.#reader !== reader) {
      throw new TypeError("Cannot read datagrams: another iteration is under way, expected one at a time");
    }
    this.#reader = reader;
  }

  /** Lets another reader be the one; does nothing for a reader that is not. */
  release(reader: DatagramReader): void {
    if (this.#reader === reader) this.#reader = undefined;
  }

  /** Drops what waits and ends the reader. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    void this.#reader?.return();
  }
}

/** One iteration over a {@link DatagramQueue}. */
export class DatagramReader implements AsyncIterableIterator<Datagram, undefined> {
  readonly #queue: DatagramQueue;
  readonly #signal: AbortSignal | undefined;
  readonly #steps: Step[] = [];
  readonly #abort = (): void => this.#finish({ reason: this.#signal?.reason });
  #started = false;
  #ended = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(queue: DatagramQueue, signal: AbortSignal | undefined) {
    this.#queue = queue;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Datagram, undefined>> {
    return new Promise((resolve, reject) => {
      if (!this.#started) this.#start();
      const value = this.#ended ? undefined : this.#queue.take();
      if (value !== undefined) resolve({ value, done: false });
      else if (this.#ended) this.#settle({ resolve, reject });
      else this.#steps.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<Datagram, undefined>> {
    this.#finish();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Takes a datagram if a step waits for it. */
  offer(value: Datagram): boolean {
    const step = this.#steps.shift();
    step?.resolve({ value, done: false });
    return step !== undefined;
  }

  #start(): void {
    this.#queue.claim(this);
    this.#started = true;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
    if (this.#signal?.aborted === true) this.#abort();
    else if (this.#queue.closed) this.#finish();
  }

  #finish(failure?: { readonly reason: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#queue.release(this);
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const step of this.#steps.splice(0)) this.#settle(step);
  }

  // A failure is reported once; every other step finds the end.
  #settle(step: Step): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure === undefined) step.resolve({ value: undefined, done: true });
    else step.reject(failure.reason);
  }
}
