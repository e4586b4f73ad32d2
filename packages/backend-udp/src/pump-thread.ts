import { Worker } from "node:worker_threads";
import { openEventFd } from "@loden/linux";
import { Cell, type PumpMessage, type PumpStart } from "./pump-control.ts";

/** The pump's worker, as the main thread holds it. */
export interface PumpThread {
  /** How often the pump was started again after a failure. */
  readonly restarts: number;
  /** How often the pump was woken from its sleep; steady while nothing moves. */
  readonly wakeups: number;
  /** Resolves when the pump waits for packets for the first time; rejects when it can't be started. */
  readonly ready: Promise<void>;
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
}

/**
 * Starts the pump in a worker, and again whenever it fails: the descriptors and the memory outlive it.
 *
 * @param options what to start, and whom to tell.
 * @returns the running pump.
 */
export function startPumpThread(options: PumpThreadOptions): PumpThread {
  const wake = openEventFd();
  const cells = new Int32Array(new SharedArrayBuffer(8));
  const url = options.workerUrl ?? new URL(import.meta.resolve("@loden/backend-udp/pump"));
  const first = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  // Whoever never awaits `ready` must not be ended by it.
  first.promise.catch(() => undefined);
  let restarts = 0;
  let stopping = false;
  let running = false;
  let worker = launch();

  function launch(): Worker {
    const workerData: PumpStart = { ...options.start, wakeFd: wake.fd, cells };
    const launched = new Worker(url, { workerData, name: "loden-pump" });
    let failure: unknown;
    let gone = false;
    launched.on("message", (message: PumpMessage) => {
      if (message.type === "running") {
        running = true;
        first.resolve();
      } else if (message.type === "deviceLost") {
        gone = true;
        options.onDeviceLost();
      }
    });
    launched.on("error", (error) => {
      failure = error;
    });
    launched.on("exit", (code) => {
      if (stopping || gone) return ended.resolve();
      const error =
        failure ?? new Error(`Cannot go on moving packets: the pump ended with exit code ${code}`);
      if (!running) {
        first.reject(error);
        return ended.resolve();
      }
      restarts++;
      options.onRestart(error, restarts);
      // Once per 50 ms at most: a pump that fails at once must not eat a processor.
      setTimeout(() => {
        if (stopping) ended.resolve();
        else worker = launch();
      }, 50);
    });
    return launched;
  }

  async function stop(): Promise<void> {
    if (!stopping) {
      stopping = true;
      Atomics.store(cells, Cell.stop, 1);
      wake.signal();
      // Its event loop is empty once it has stopped, so the worker ends by itself.
      void ended.promise.then(() => wake.close());
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
    stop,
  };
}
