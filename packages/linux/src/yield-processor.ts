import { libc } from "./libc.ts";

/**
 * Lets another thread that waits for this processor go first, as `sched_yield(2)`: a thread with much to do stays out of the way of one that
 * has little to do, but soon. Where nobody waits it takes less than a microsecond.
 */
export function yieldProcessor(): void {
  libc().schedYield();
}
