import { describe, expect, test } from "vitest";
import { ManualClock } from "./manual-clock.ts";

describe("ManualClock", () => {
  test("advance() wakes sleepers in order, each at its own instant, and those they become", async () => {
    const clock = new ManualClock();
    const woken: string[] = [];
    const sleep = async (name: string, ...naps: number[]): Promise<void> => {
      for (const ms of naps) {
        await clock.sleep(ms);
        woken.push(`${name} at ${clock.elapsed()}`);
      }
    };
    void sleep("a", 30);
    void sleep("b", 10, 10, 10, 100);
    void sleep("c", 10);
    await clock.advance(30);
    expect(woken).toEqual(["b at 10", "c at 10", "b at 20", "a at 30", "b at 30"]);
    expect(clock.elapsed()).toBe(30);
    expect(clock.sleepers).toBe(1);
  });

  test("jump() moves the wall clock alone", async () => {
    const clock = new ManualClock({ now: 1_000 });
    await clock.advance(5);
    clock.jump(-500);
    expect([clock.now(), clock.elapsed()]).toEqual([505, 5]);
  });

  test("sleep() rejects with signal.reason and is forgotten", async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const nap = clock.sleep(10, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(nap).rejects.toThrow("enough");
    expect(clock.sleepers).toBe(0);
  });

  test("runUntil() goes from sleeper to sleeper and passes on the result", async () => {
    const clock = new ManualClock();
    const work = async (): Promise<string> => {
      await clock.sleep(1_000);
      await clock.sleep(2_000);
      return "done";
    };
    expect(await clock.runUntil(work())).toBe("done");
    expect(clock.elapsed()).toBe(3_000);
    await expect(clock.runUntil(Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});
