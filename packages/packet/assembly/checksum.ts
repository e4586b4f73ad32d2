// Internet checksum (RFC 1071). Sums are taken over words as they lie in memory (little-endian), and so stored as they are.

/** Ones' complement sum of a stretch of at most 256 KiB, added to a start value; not folded to 16 bits yet. */
export function sum(at: usize, length: usize, start: u64): u64 {
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let p = at;
  const blocks = at + (length & ~63);
  while (p < blocks) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(p)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(p, 16)));
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(p, 32)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(p, 48)));
    p += 64;
  }
  let left = length & 63;
  while (left >= 16) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(p)));
    p += 16;
    left -= 16;
  }
  // Lanes stay below 2^31 for 256 KiB; the sum of two vectors still fits u32.
  const c = i32x4.add(a, b);
  let total =
    start +
    <u64>(<u32>i32x4.extract_lane(c, 0)) +
    <u64>(<u32>i32x4.extract_lane(c, 1)) +
    <u64>(<u32>i32x4.extract_lane(c, 2)) +
    <u64>(<u32>i32x4.extract_lane(c, 3));
  if (left >= 8) {
    total += <u64>load<u32>(p) + <u64>load<u32>(p, 4);
    p += 8;
    left -= 8;
  }
  if (left >= 4) {
    total += <u64>load<u32>(p);
    p += 4;
    left -= 4;
  }
  if (left >= 2) {
    total += <u64>load<u16>(p);
    p += 2;
    left -= 2;
  }
  if (left > 0) total += <u64>load<u8>(p);
  return total;
}

/** Folds a sum to 16 bits: 0 only for 0. */
// @ts-ignore: decorator
@inline
export function fold(total: u64): u32 {
  let t = (total & 0xffffffff) + (total >> 32);
  t = (t & 0xffff) + (t >> 16);
  t = (t & 0xffff) + (t >> 16);
  t = (t & 0xffff) + (t >> 16);
  return <u32>t;
}

/** A 16-bit number in network order. */
// @ts-ignore: decorator
@inline
export function swap16(x: u32): u32 {
  return ((x & 0xff) << 8) | ((x >> 8) & 0xff);
}

/** Sum of the pseudo header of a packet but for the length: addresses and protocol. */
// @ts-ignore: decorator
@inline
export function pseudoSum(ip: usize, version: u32, protocol: u32): u64 {
  if (version == 4) return <u64>load<u32>(ip, 12) + <u64>load<u32>(ip, 16) + <u64>(protocol << 8);
  let total: u64 = <u64>(protocol << 8);
  for (let i: usize = 8; i < 40; i += 4) total += <u64>load<u32>(ip + i);
  return total;
}

/** `checksum()` of the package: the complement in host order, for the test of the sum itself. */
export function checksum(at: usize, length: usize): u32 {
  return swap16(~fold(sum(at, length, 0)) & 0xffff);
}
