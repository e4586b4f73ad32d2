/** How a TUN device is being read. */
export type ReaderKind = "packets" | "batches";

// By descriptor, for this thread: a worker can't see what the main thread reads.
const readers = new Map<number, ReaderKind>();

/**
 * Says who reads a descriptor, so that the two ways of reading never steal packets from each other. Any number of batch readers get along.
 *
 * @param fd the descriptor of a TUN device.
 * @param kind how it is to be read.
 * @throws {TypeError} when it is read in a way that excludes this one.
 */
export function claimReader(fd: number, kind: ReaderKind): void {
  const current = readers.get(fd);
  if (current !== undefined && (current !== kind || kind === "packets")) {
    const how = current === "packets" ? "packets() iterates over it" : "a queue reads batches from it";
    throw new TypeError(`Cannot read from a TUN device: ${how}, expected one way of reading at a time`);
  }
  readers.set(fd, kind);
}

/**
 * Ends what {@link claimReader} began; again does nothing.
 *
 * @param fd the descriptor.
 */
export function releaseReader(fd: number): void {
  readers.delete(fd);
}

/**
 * Checks that nothing reads a descriptor, without claiming it.
 *
 * @param fd the descriptor.
 * @throws {TypeError} as {@link claimReader} does for `packets`.
 */
export function checkUnread(fd: number): void {
  if (!readers.has(fd)) return;
  claimReader(fd, "packets");
}
