import { Worker } from "node:worker_threads";
import { openEventFd } from "@loden/linux";
import { Cell, type PumpMessage, type PumpSockets, type PumpStart } from "./pump-control.ts";
import type { OnNarrowPath } from "./narrow-paths.ts";
import type { OnUnknownSender } from "./unknown-senders.ts";

/** How long a process that ends waits for its pump at most. A batch takes far less, but on a busy machine the pump may have to wait for its turn. */
const STOP_AT_EXIT_MS = 2_000;

// One listener for all pumps of the process: Node warns of more than ten.
const atExit = new Set<() => void>();
process.on("exit", () => atExit.forEach((stop) => stop()));

/** The pump's worker, as the main thread holds it. */
export interface PumpThread {
  /** How often the pump was started again after a failure. */
  readonly restarts: number;
  /** How often the pump was woken from its sleep; steady while nothing moves. */
  readonly wakeups: number;
  /** Resolves when the pump begins to look for packets; rejects when it can't be started. */
  readonly ready: Promise<void>;
  /**
   * Goes on with other sockets, in the same thread and without losing what waits in the device or in a socket that stays. When it resolves, the
   * pump uses no others any more.
   */
  move(sockets: PumpSockets): Promise<void>;
  /** Ends the pump. When it resolves, nothing uses the descriptors any more. Again gives the same promise. */
  stop(): Promise<void>;
}

/** What {@link startPumpThread} needs. */
export interface PumpThreadOptions {
  /** What the worker is started with. */
  readonly start: Omit<PumpStart, "wakeFd" | "cells">;
  /** The worker's module; an embedder that bundles its program gives its own. */
  readonly workerUrl?: URL | undefined;
  /** The pump failed and is being started again. */
  onRestart(error: unknown, restarts: number): void;
  /** The TUN device was deleted; the pump has stopped. */
  onDeviceLost(): void;
  /** A datagram came from an address that is no peer's; told once for each, as long as the pump runs. */
  readonly onUnknownSender: OnUnknownSender;
  /** A router found a packet too long. */
  readonly onNarrowPath: OnNarrowPath;
}

/**
 * Starts the pump in a worker, and again whenever it fails: the descriptors and the memory outlive it.
 *
 * @param options what to start, and whom to tell.
 * @returns the running pump.
 */
export function startPumpThread(options: PumpThreadOptions): PumpThread {
  const wake = openEventFd();
  const cells = new Int32Array(new SharedArrayBuffer(4 * Cell.count));
  const url = options.workerUrl ?? new URL(import.meta.resolve("@loden/backend-udp/pump"));
  const first = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  // Whoever never awaits `ready` must not be ended by it.
  first.promise.catch(() => undefined);
  let restarts = 0;
  let stopping = false;
  let started = false;
  let sockets: PumpSockets = options.start;
  let worker: Worker;
  /** Resolved when the pump uses the sockets that it was last sent. */
  let moved = Promise.withResolvers<void>();
  /** The move that is under way; the next one waits for it. */
  let moving = Promise.resolve();
  launch();
  atExit.add(stopAtExit);

  function launch(): void {
    const own = sockets;
    const { ipv4, ipv6 } = own;
    // What an earlier worker was sent, this one begins with.
    Atomics.store(cells, Cell.move, 0);
    const workerData: PumpStart = { ...options.start, ipv4, ipv6, wakeFd: wake.fd, cells };
    const launched = new Worker(url, { workerData, name: "loden-pump", ...workerFlags() });
    worker = launched;
    let failure: unknown;
    let gone = false;
    launched.on("message", (message: PumpMessage) => {
      if (message.type === "running") {
        started = true;
        first.resolve();
        if (own === sockets) moved.resolve();
      } else if (message.type === "moved") {
        moved.resolve();
      } else if (message.type === "deviceLost") {
        gone = true;
        options.onDeviceLost();
      } else if (message.type === "unknownSender") {
        options.onUnknownSender(message.sender, message.source);
      } else if (message.type === "narrowPath") {
        options.onNarrowPath(message.endpoint);
      }
    });
    launched.on("error", (error) => {
      failure = error;
    });
    launched.on("exit", (code) => {
      Atomics.store(cells, Cell.watching, 0);
      if (stopping || gone) return ended.resolve();
      const error =
        failure ?? new Error(`Cannot go on moving packets: the pump ended with exit code ${code}`);
      if (!started) {
        first.reject(error);
        return ended.resolve();
      }
      restarts++;
      options.onRestart(error, restarts);
      // Once per 50 ms at most: a pump that fails at once must not eat a processor.
      setTimeout(() => {
        if (stopping) ended.resolve();
        else launch();
      }, 50);
    });
  }

  function askToStop(): void {
    stopping = true;
    Atomics.store(cells, Cell.stop, 1);
    wake.signal();
  }

  /**
   * A process that ends takes its workers down in the middle of a call from the event loop, which koffi answers by aborting: so wait. A
   * pump that does not watch its descriptors yet finds that it is to stop before it does.
   */
  function stopAtExit(): void {
    askToStop();
    if (Atomics.load(cells, Cell.watching) === 1) Atomics.wait(cells, Cell.stopped, 0, STOP_AT_EXIT_MS);
  }

  function move(next: PumpSockets): Promise<void> {
    moving = moving.then(async () => {
      if (stopping) return;
      sockets = next;
      moved = Promise.withResolvers();
      worker.postMessage(sockets);
      Atomics.store(cells, Cell.move, 1);
      wake.signal();
      await Promise.race([moved.promise, ended.promise]);
    });
    return moving;
  }

  async function stop(): Promise<void> {
    if (!stopping) {
      askToStop();
      // Its event loop is empty once it has stopped, so the worker ends by itself.
      void ended.promise.finally(() => {
        atExit.delete(stopAtExit);
        wake.close();
      });
    }
    await ended.promise;
  }

  return {
    get restarts() {
      return restarts;
    },
    get wakeups() {
      return Atomics.load(cells, Cell.wakeups);
    },
    ready: first.promise,
    move,
    stop,
  };
}

/** A program that was given as text has flags that say so, which a worker's module, a file, can't be loaded with. */
function workerFlags(): { execArgv?: string[] } {
  if (!process.execArgv.some((flag) => flag.startsWith("--input-type"))) return {};
  return { execArgv: process.execArgv.filter((flag) => flag.startsWith("--conditions")) };
}
