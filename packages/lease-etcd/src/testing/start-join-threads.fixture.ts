import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

/** How many hosts of a thread join at a time, over how many connections. */
const concurrency = 4;
const connections = 2;

/** What hosts join. */
export interface JoinOptions {
  readonly endpoints: readonly string[];
  /** How many. */
  readonly hosts: number;
  readonly callTimeoutMs: number;
  /** How long their leases last. */
  readonly ttlMs: number;
}

/** What a thread is told. */
export interface JoinPlan extends JoinOptions {
  readonly concurrency: number;
  readonly connections: number;
  /** Shared: how many hosts have been taken by some thread. */
  readonly taken: Int32Array;
}

/** Threads that wait to be told. */
export interface JoinThreads extends AsyncDisposable {
  /** Lets all hosts join; once. */
  joinAll(): Promise<void>;
}

/**
 * Starts a thread for each processor that plays hosts, each of which acquires its lease as a daemon does.
 *
 * @param options - how many hosts, and where they join
 * @returns the threads; dispose of them
 */
export async function startJoinThreads(options: JoinOptions): Promise<JoinThreads> {
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const workerData: JoinPlan = { ...options, concurrency, connections, taken };
  const threads = Array.from(
    { length: availableParallelism() },
    () => new Worker(new URL("join-worker.fixture.ts", import.meta.url), { workerData }),
  );
  // `once` rejects when a thread fails.
  await Promise.all(threads.map((thread) => once(thread, "message")));
  return {
    async joinAll() {
      const joined = threads.map((thread) => once(thread, "message"));
      for (const thread of threads) thread.postMessage("join");
      await Promise.all(joined);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map((thread) => thread.terminate()));
    },
  };
}
