/**
 * Draws a number evenly from 0 to below a limit.
 *
 * @param limit - At least 1.
 * @param random - A number from 0 to below 1 per call, of 53 bits as `Math.random` gives.
 * @returns A whole number below the limit.
 */
export function randomBelow(limit: bigint, random: () => number): bigint {
  if (limit <= 1n << 32n) return BigInt(Math.floor(random() * Number(limit)));
  // 53 bits more than the limit has leave a bias that no one can see, and need no second try.
  const bits = BigInt(limit.toString(2).length + drawBits);
  let drawn = 0n;
  let width = 0n;
  while (width < bits) {
    drawn = (drawn << BigInt(drawBits)) | BigInt(Math.floor(random() * 2 ** drawBits));
    width += BigInt(drawBits);
  }
  return (drawn * limit) >> width;
}

const drawBits = 53;
