import type { ListedRoute, Route } from "@loden/rtnetlink";
import { channel } from "node:diagnostics_channel";
import { ReadableStream, type ReadableStreamDefaultController } from "node:stream/web";

/**
 * Something that happened to a route of ours. The first four say what others did, `repaired` and `failed` what came of it:
 * - `removed`: a desired route is gone, also because its link went down.
 * - `changed`: it has other attributes than it should have.
 * - `added`: somebody added a route with our protocol number that is not desired.
 * - `conflict`: somebody else's route is in a desired one's place; it is left there.
 * - `repaired`: the route is as it should be again.
 * - `failed`: the kernel refused the repair; it is tried again at the next change of routes, addresses or links.
 * - `overrun`: events were lost because they were not read; list again.
 */
export type RouteEvent =
  | { readonly type: "removed" | "repaired"; readonly route: Route }
  | { readonly type: "changed"; readonly route: Route; readonly current: ListedRoute }
  | { readonly type: "added"; readonly route: ListedRoute }
  | { readonly type: "conflict"; readonly route: Route; readonly foreign: ListedRoute }
  | { readonly type: "failed"; readonly route: Route; readonly error: Error }
  | { readonly type: "overrun" };

/** Events that may wait to be read. */
const WAITING_EVENTS = 4_096;

const diagnostics = channel("loden:route");

/** Hands each event to every watcher and to the diagnostics channel `loden:route`. */
export class RouteEvents {
  readonly #context: Readonly<Record<string, unknown>>;
  readonly #watchers = new Set<Watcher>();

  /** @param context What every published message says of its origin. */
  constructor(context: Readonly<Record<string, unknown>>) {
    this.#context = context;
  }

  publish(event: RouteEvent): void {
    for (const watcher of this.#watchers) watcher.push(event);
    if (diagnostics.hasSubscribers) diagnostics.publish({ ...event, ...this.#context });
  }

  /** Opens a stream of what is published from now on. */
  open(signal: AbortSignal | undefined): AsyncIterable<RouteEvent> {
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
  #controller!: ReadableStreamDefaultController<RouteEvent>;
  #lost = false;

  stream(release: () => void): ReadableStream<RouteEvent> {
    return new ReadableStream<RouteEvent>(
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

  push(event: RouteEvent): void {
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
