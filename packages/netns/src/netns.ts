/** A network namespace that is open: it lives at least as long as this object is not closed. */
export interface Netns extends Disposable {
  /** The open namespace file, for `setns(2)` and `IFLA_NET_NS_FD`. Owned by this object. */
  readonly fd: number;
  /** Its name under `/run/netns`, or `undefined` for an anonymous one. */
  readonly name: string | undefined;
  /**
   * Runs a function with the calling thread inside the namespace, and comes back.
   *
   * What the function opens (sockets, TUN devices, netlink) stays in the namespace; what it spawns starts there. Only
   * synchronous calls count: `server.listen` and `dgram.bind` open their sockets later, outside.
   * Failing to come back ends the process: nothing after it could be trusted.
   *
   * @param fn what to run; returns a value, not a promise.
   * @returns what `fn` returned.
   * @throws {TypeError} when `fn` returns a promise.
   * @throws {KernelError} `EPERM` without privilege.
   */
  run<T>(fn: () => T): T;
  /**
   * Reads a sysctl of the namespace.
   * @param path below `/proc/sys`, e.g. `net/ipv4/ip_forward`.
   * @returns its text, without the line's end.
   */
  getSysctl(path: string): string;
  /**
   * Sets a sysctl of the namespace.
   * @param path below `/proc/sys`, e.g. `net/ipv4/ip_forward`.
   * @param value the new value.
   * @throws {RangeError} when the path is not one of the network's (those alone belong to a namespace).
   */
  setSysctl(path: string, value: string | number): void;
  /** Closes the file; a namespace that nothing else holds goes away. Again does nothing. */
  close(): void;
}
