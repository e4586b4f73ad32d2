import type { Netns } from "@loden/netns";

/**
 * Runs a function in a network namespace, or where the thread is when there is none to go to.
 *
 * @param netns the namespace. @param fn what to run; it has ended when it returns.
 * @returns what it returns.
 */
export function inNetns<T>(netns: Netns | undefined, fn: () => T): T {
  return netns === undefined ? fn() : netns.run(fn);
}
