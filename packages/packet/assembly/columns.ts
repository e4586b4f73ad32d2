// The columns of a batch, by its header's offset.
import {
  BatchField_count,
  BatchField_endpointsOffset,
  BatchField_lengthsOffset,
  BatchField_offsetsOffset,
  BatchField_partsOffset,
  BatchField_peersOffset,
  BatchField_verdictsOffset,
  BatchField_virtioOffset,
  BatchField_wireBytesOffset,
} from "./layout";

// @ts-ignore: decorator
@inline
export function count(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_count);
}
// @ts-ignore: decorator
@inline
export function offsets(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_offsetsOffset);
}
// @ts-ignore: decorator
@inline
export function lengths(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_lengthsOffset);
}
// @ts-ignore: decorator
@inline
export function verdicts(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_verdictsOffset);
}
// @ts-ignore: decorator
@inline
export function peers(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_peersOffset);
}
// @ts-ignore: decorator
@inline
export function endpoints(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_endpointsOffset);
}
// @ts-ignore: decorator
@inline
export function virtio(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_virtioOffset);
}
// @ts-ignore: decorator
@inline
export function parts(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_partsOffset);
}
// @ts-ignore: decorator
@inline
export function wireBytes(batch: usize): usize {
  return <usize>load<u32>(batch + BatchField_wireBytesOffset);
}
// @ts-ignore: decorator
@inline
export function field(batch: usize, name: usize): usize {
  return <usize>load<u32>(batch + name);
}
