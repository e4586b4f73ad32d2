import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RepairGuard } from "./repair-guard.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Looks that end as told, each after so many milliseconds. */
function guardOf(outcome: "right" | "repaired" | "failed", tookMs: number = 0) {
  const looks: number[] = [];
  const guard = new RepairGuard(async () => {
    looks.push(performance.now());
    if (tookMs > 0) await new Promise((resolve) => setTimeout(resolve, tookMs));
    return outcome;
  });
  return { guard, looks };
}

/** Notices a change every millisecond. */
async function notices(guard: RepairGuard, ms: number): Promise<void> {
  for (let step = 0; step < ms; step++) {
    guard.notice();
    await vi.advanceTimersByTimeAsync(1);
  }
}

test("RepairGuard looks once for a burst of notifications, and again for the next burst", async () => {
  const { guard, looks } = guardOf("right");
  await notices(guard, 15);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(looks).toHaveLength(1);
  await notices(guard, 1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(looks).toHaveLength(2);
});

test("RepairGuard spends a tenth of the time on looking, and looks twice a second at least, when changes never end", async () => {
  const cheap = guardOf("right", 5);
  await notices(cheap.guard, 5_000);
  expect(cheap.looks.length * 5).toBeLessThan(600);
  expect(cheap.looks.length * 5).toBeGreaterThan(400);
  const dear = guardOf("right", 200);
  await notices(dear.guard, 10_000);
  expect(dear.looks.length).toBeGreaterThan(10);
});

test("RepairGuard answers ever more slowly, every five seconds in the end, when each repair is undone", async () => {
  const { guard, looks } = guardOf("repaired");
  await notices(guard, 1_000);
  expect(looks.length).toBeGreaterThan(10);
  await notices(guard, 20_000);
  const before = looks.length;
  await notices(guard, 20_000);
  expect(looks.length - before).toBe(4);
});

test("RepairGuard looks again by itself after a failure, and not after close()", async () => {
  const { guard, looks } = guardOf("failed");
  guard.notice();
  await vi.advanceTimersByTimeAsync(100);
  expect(looks.length).toBeGreaterThan(2);
  guard.close();
  guard.notice();
  const before = looks.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(looks).toHaveLength(before);
});
