import { yieldProcessor } from "@loden/linux";

/** How long a packet may wait for this thread: less than what waking the pump takes on many machines. */
const LONGEST_MS = 0.05;

/**
 * Makes a function to call often in long work: a pump that waits for this thread's processor goes first then, but not before this thread has had it for 50 microseconds.
 * Where a pump has always something to do, each time costs what the scheduler gives to it, so work that is over sooner doesn't give way at all.
 *
 * @param now a monotonic time in milliseconds. @param giveWay lets others go first.
 * @returns the function.
 */
export function createGiveWay(
  now: () => number = () => performance.now(),
  giveWay: () => void = yieldProcessor,
): () => void {
  let since = 0;
  return () => {
    const time = now();
    // Far longer: that was before this work began.
    if (time - since >= 100 * LONGEST_MS) since = time;
    if (time - since < LONGEST_MS) return;
    giveWay();
    since = now();
  };
}
