/**
 * Checks a port that a socket is to be bound to.
 *
 * @param port the port; 0 lets the system choose.
 * @throws {RangeError} unless it is 0 to 65535.
 */
export function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new RangeError(
    `Cannot open a UDP socket: the port is ${port}, expected a whole number from 0 to 65535`,
  );
}
