import { uptime } from "node:os";

/** Where the engine gets its time from, so that tests can control it. */
export interface Clock {
  /** Wall-clock milliseconds since 1970. It can jump; only for showing and for comparing with other hosts. */
  now(): number;
  /** Milliseconds since some fixed instant. It never jumps and goes on while the machine is suspended. */
  elapsed(): number;
  /**
   * Waits until `elapsed()` has gone on by `ms`.
   *
   * @param ms - How long to wait; 0 or less is the next turn.
   * @param options - `signal`: ends the wait, which then rejects with `signal.reason`.
   */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/**
 * The machine's clock. `elapsed()` is the time since boot, in steps of about 10 ms; a `sleep()` that the machine spent
 * suspended ends at most a minute after waking.
 *
 * @returns The clock; every call returns the same one.
 */
export function systemClock(): Clock {
  return machine;
}

// A timer of Node stands still in suspend, so a long sleep looks at the clock once a minute.
const longestTimerMs = 60_000;

const machine: Clock = {
  now: () => Date.now(),
  elapsed: () => uptime() * 1000,
  async sleep(ms, { signal } = {}) {
    const end = machine.elapsed() + ms;
    let leftMs = ms;
    while (leftMs > longestTimerMs) {
      await timer(longestTimerMs, signal);
      leftMs = end - machine.elapsed();
    }
    await timer(Math.max(leftMs, 0), signal);
  },
};

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(handle);
      reject(signal?.reason as Error);
    };
    const handle = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
