/**
 * Makes a sequence of numbers that looks random and is the same for the same seed (Marsaglia's xorshift, 32 bits), so
 * that a failing run can be repeated.
 *
 * @param seed - Any whole number.
 * @returns A stand-in for `Math.random`: each call gives a number from 0 to below 1.
 */
export function createSeededRandom(seed: number): () => number {
  // Spread small seeds over all bits; the state must not be 0.
  let state = Math.imul(seed ^ 0x5bd1_e995, 0x9e37_79b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
