import { describe, expect, test, vi } from "vitest";
import { systemClock } from "./clock.ts";

describe("systemClock()", () => {
  test("is the same clock at every call", () => {
    expect(systemClock()).toBe(systemClock());
  });

  test("now() is the wall clock and elapsed() never goes back", () => {
    const clock = systemClock();
    const before = Date.now();
    const now = clock.now();
    expect([before <= now, now <= Date.now()]).toEqual([true, true]);
    const first = clock.elapsed();
    expect(clock.elapsed()).toBeGreaterThanOrEqual(first);
  });

  test("sleep() ends, also for no time at all", async () => {
    await expect(systemClock().sleep(1)).resolves.toBeUndefined();
    await expect(systemClock().sleep(-1)).resolves.toBeUndefined();
  });

  test("sleep() rejects with signal.reason, before and while it waits", async () => {
    const reason = new Error("enough");
    await expect(systemClock().sleep(1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const stop = new AbortController();
    const nap = systemClock().sleep(60 * 60_000, { signal: stop.signal });
    stop.abort(reason);
    await expect(nap).rejects.toBe(reason);
  });

  test("sleep() looks at the clock once a minute, because timers stand still in suspend", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    const elapsed = vi.spyOn(systemClock(), "elapsed");
    try {
      elapsed.mockReturnValue(0);
      const nap = systemClock().sleep(24 * 60 * 60_000);
      // The first minute of the timer took the whole day: the machine was suspended.
      elapsed.mockReturnValue(24 * 60 * 60_000);
      await vi.advanceTimersByTimeAsync(60_010);
      await expect(nap).resolves.toBeUndefined();
    } finally {
      elapsed.mockRestore();
      vi.useRealTimers();
    }
  });
});
