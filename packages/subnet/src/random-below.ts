/**
 * Draws a number evenly from 0 to below a limit.
 *
 * @param limit - At least 1.
 * @param random - A number from 0 to below 1 per call, of 53 bits as `Math.random` gives.
 * @returns A whole number below the limit.
 * @throws {RangeError} If `random` gives anything else.
 */
export function randomBelow(limit: bigint, random: () => number): bigint {
  if (limit <= 1n << 32n) return BigInt(Math.floor(draw(random) * Number(limit)));
  // Drawing 53 bits more than the limit has leaves a bias that no one can see, and needs no second try.
  const bits = BigInt(limit.toString(2).length + drawBits);
  let drawn = 0n;
  let width = 0n;
  while (width < bits) {
    drawn = (drawn << BigInt(drawBits)) | BigInt(Math.floor(draw(random) * 2 ** drawBits));
    width += BigInt(drawBits);
  }
  return (drawn * limit) >> width;
}

const drawBits = 53;

function draw(random: () => number): number {
  const number = random();
  if (number >= 0 && number < 1) return number;
  throw new RangeError(`Cannot draw a subnet: random() gave ${number}, expected a number from 0 to below 1`);
}
