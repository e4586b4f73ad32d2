import { readFileSync, writeFileSync } from "node:fs";
import { closeFd, constants, openFile, setNamespace } from "@loden/linux";
import type { Netns } from "./netns.ts";

/** Where the calling thread's own namespace is: in a worker `/proc/self` would be the main thread's. */
export const OWN_NETNS = "/proc/thread-self/ns/net";

/**
 * Makes a {@link Netns} of an open namespace file, and takes the descriptor over.
 *
 * @param fd the open file.
 * @param name its name under `/run/netns`, where it has one.
 * @returns the namespace.
 */
export function netnsOfFd(fd: number, name: string | undefined): Netns {
  let closed = false;
  const close = (): void => {
    if (!closed) closeFd(fd);
    closed = true;
  };
  const run = <T>(fn: () => T): T => {
    if (closed)
      throw new TypeError("Cannot run inside a network namespace: it is closed, expected an open one");
    return runInside(fd, fn);
  };
  return {
    fd,
    name,
    run,
    getSysctl: (path) => run(() => readFileSync(sysctlFile(path), "utf8").trimEnd()),
    setSysctl: (path, value) => run(() => writeFileSync(sysctlFile(path), String(value))),
    close,
    [Symbol.dispose]: close,
  };
}

/**
 * Runs a function with the thread's namespace saved, and brings the thread back to it.
 *
 * @param fn runs where it likes: it may change the thread's namespace.
 * @returns what `fn` returned.
 */
export function returning<T>(fn: () => T): T {
  const before = openFile(OWN_NETNS, constants.O_RDONLY);
  try {
    return fn();
  } finally {
    comeBack(before);
    closeFd(before);
  }
}

function runInside<T>(fd: number, fn: () => T): T {
  const result = returning(() => {
    setNamespace(fd, constants.CLONE_NEWNET);
    return fn();
  });
  if (isPromise(result)) {
    // Its failure is this call's failure, not one more unhandled rejection.
    result.then(undefined, () => undefined);
    throw new TypeError(
      "Cannot run inside a network namespace: the function returned a promise, expected synchronous work (the thread is already back)",
    );
  }
  return result;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function comeBack(fd: number): void {
  try {
    setNamespace(fd, constants.CLONE_NEWNET);
  } catch (error) {
    console.error("Cannot leave a network namespace, so this process can't be trusted any more:", error);
    process.abort();
  }
}

function sysctlFile(path: string): string {
  if (!/^net(\/[\w.@%:-]+)+$/.test(path) || path.includes("/..")) {
    throw new RangeError(
      `Cannot use a sysctl of a network namespace: "${path}" is not one, expected a path such as net/ipv4/ip_forward`,
    );
  }
  return `/proc/sys/${path}`;
}
