import { channel } from "node:diagnostics_channel";
import { ReadableStream, type ReadableStreamDefaultController } from "node:stream/web";
import type { StateObject } from "../desired-state.ts";

/**
 * Something that happened to what is ours. The first four say what others did, `repaired` and `failed` what came of it:
 * - `removed`: a desired object is gone, also because its link went down.
 * - `changed`: it is another than it should be.
 * - `added`: somebody added something that counts as ours and is not desired.
 * - `conflict`: somebody else's route is in a desired one's place; it is left there.
 * - `repaired`: the object is as it should be again.
 * - `failed`: the kernel refused the repair; it is tried again when links, addresses or routes change.
 * - `overrun`: events were lost because they were not read; list again.
 */
export type StateEvent =
  | { readonly type: "removed" | "added" | "repaired"; readonly object: StateObject }
  | { readonly type: "changed"; readonly object: StateObject; readonly current: StateObject }
  | { readonly type: "conflict"; readonly object: StateObject; readonly other: StateObject }
  | { readonly type: "failed"; readonly object: StateObject; readonly error: Error }
  | { readonly type: "overrun" };

/** Events that may wait to be read. */
const WAITING_EVENTS = 4_096;

const diagnostics = channel("loden:route");

/** Hands each event to every watcher and to the diagnostics channel `loden:route`. */
export class StateEvents {
  readonly #context: Readonly<Record<string, unknown>>;
  readonly #watchers = new Set<Watcher>();

  /** @param context What every published message says of its origin. */
  constructor(context: Readonly<Record<string, unknown>>) {
    this.#context = context;
  }

  publish(event: StateEvent): void {
    for (const watcher of this.#watchers) watcher.push(event);
    if (diagnostics.hasSubscribers) diagnostics.publish({ ...event, ...this.#context });
  }

  /** Opens a stream of what is published from now on. */
  open(signal: AbortSignal | undefined): AsyncIterable<StateEvent> {
    signal?.throwIfAborted();
    const watcher = new Watcher();
    const release = (): void => {
      this.#watchers.delete(watcher);
      signal?.removeEventListener("abort", abort);
    };
    const abort = (): void => {
      release();
      watcher.fail(signal?.reason);
    };
    this.#watchers.add(watcher);
    signal?.addEventListener("abort", abort);
    return watcher.stream(release);
  }

  /** Ends all streams: with an error when one is given. */
  close(error?: unknown): void {
    for (const watcher of this.#watchers) {
      if (error === undefined) watcher.end();
      else watcher.fail(error);
    }
    this.#watchers.clear();
  }
}

/** One stream; keeps at most {@link WAITING_EVENTS} unread events, then an overrun in the place of the rest. */
class Watcher {
  #controller!: ReadableStreamDefaultController<StateEvent>;
  #lost = false;

  stream(release: () => void): ReadableStream<StateEvent> {
    return new ReadableStream<StateEvent>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          if (!this.#lost) return;
          this.#lost = false;
          this.#controller.enqueue({ type: "overrun" });
        },
        cancel: release,
      },
      { highWaterMark: WAITING_EVENTS },
    );
  }

  push(event: StateEvent): void {
    if (this.#lost || (this.#controller.desiredSize ?? 0) <= 0) this.#lost = true;
    else this.#controller.enqueue(event);
  }

  end(): void {
    this.#controller.close();
  }

  fail(error: unknown): void {
    this.#controller.error(error);
  }
}
