/**
 * For tests of whatever uses leases: a clock that is moved by hand, a lease store in memory with controls, and a wrapper
 * that delays or breaks the calls to any store. No test runner is imported.
 *
 * @example A day passes at once
 * ```ts
 * import { ManualClock } from "@loden/lease/testing";
 * import assert from "node:assert/strict";
 *
 * const clock = new ManualClock();
 * const start = clock.elapsed();
 * const nap = clock.sleep(24 * 60 * 60_000);
 * await clock.advance(24 * 60 * 60_000);
 * await nap;
 * assert.equal(clock.elapsed() - start, 86_400_000);
 * ```
 *
 * @module
 */
export { createFakeLeaseStore, type FakeLeaseStore } from "./testing/fake-lease-store.ts";
export { interceptStore, type StoreInterceptor, type StoreOperation } from "./testing/intercept-store.ts";
export { ManualClock, type ManualClockOptions } from "./testing/manual-clock.ts";
export { createSeededRandom } from "./testing/seeded-random.ts";
