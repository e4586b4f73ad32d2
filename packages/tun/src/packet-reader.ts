import { readFd, watchReadable, type ReadableWatch } from "@loden/linux";
import { explainGone } from "./device-gone.ts";
import { claimReader, releaseReader } from "./exclusive-reader.ts";

/** How many packets wait for a slow reader before newer ones are dropped. */
const MOST_WAITING = 256;
/** How many packets one turn of the event loop takes, so that a flood does not keep the reader from its work. */
const MOST_PER_TURN = 256;
const LONGEST_PACKET = 65_535;

/** What a {@link PacketReader} is told by its device. */
export interface PacketReaderOptions {
  readonly name: string;
  readonly fd: number;
  readonly signal: AbortSignal | undefined;
  /** Called for each packet that is dropped because the reader is slow. */
  readonly onOverrun: () => void;
  /** Called once, when the reader ends for whatever reason. */
  readonly onEnd: () => void;
}

interface Step {
  readonly resolve: (result: IteratorResult<Uint8Array, undefined>) => void;
  readonly reject: (reason: unknown) => void;
}

/** Reads the packets of one TUN device on the event loop: starts with the first step, ends on close, abort, `break` or failure. */
export class PacketReader implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #options: PacketReaderOptions;
  readonly #waiting: Uint8Array[] = [];
  readonly #steps: Step[] = [];
  readonly #abort = (): void => this.#finish([], this.#options.signal?.reason, true);
  #watch: ReadableWatch | undefined;
  #ended = false;
  #failure: { reason: unknown } | undefined;

  constructor(options: PacketReaderOptions) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const packet = this.#waiting.shift();
    if (packet !== undefined) return Promise.resolve({ value: packet, done: false });
    if (this.#failure !== undefined) {
      const { reason } = this.#failure;
      this.#failure = undefined;
      // oxlint-disable-next-line prefer-promise-reject-errors -- an abort reason is whatever its owner made it
      return Promise.reject(reason);
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      if (this.#watch === undefined) this.#start();
      this.#steps.push({ resolve, reject });
      if (this.#options.signal?.aborted === true) this.#abort();
    });
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Ends the iteration quietly; packets that wait are dropped. Again does nothing. */
  end(): void {
    this.#finish([]);
  }

  #start(): void {
    const { fd, signal } = this.#options;
    claimReader(fd, "packets");
    const buffer = new Uint8Array(LONGEST_PACKET);
    // A device that was deleted shows as an error of the descriptor: the read then says which.
    this.#watch = watchReadable(fd, () => this.#drain(buffer));
    signal?.addEventListener("abort", this.#abort, { once: true });
  }

  #drain(buffer: Uint8Array): void {
    try {
      for (let count = 0; count < MOST_PER_TURN; count += 1) {
        const length = readFd(this.#options.fd, buffer);
        if (length === undefined) return;
        this.#deliver(buffer, length);
      }
    } catch (error) {
      this.#finish(this.#waiting, explainGone(error, this.#options.name), true);
    }
  }

  #deliver(buffer: Uint8Array, length: number): void {
    const step = this.#steps.shift();
    if (step !== undefined) step.resolve({ value: buffer.slice(0, length), done: false });
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(buffer.slice(0, length));
    else this.#options.onOverrun();
  }

  #finish(keep: readonly Uint8Array[], reason?: unknown, failed: boolean = false): void {
    if (this.#ended) return;
    this.#ended = true;
    if (keep !== this.#waiting) this.#waiting.length = 0;
    if (this.#watch !== undefined) {
      this.#watch.close();
      releaseReader(this.#options.fd);
    }
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#options.onEnd();
    if (failed) this.#failure = { reason };
    for (const step of this.#steps.splice(0)) this.next().then(step.resolve, step.reject);
  }
}
