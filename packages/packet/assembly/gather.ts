// Makes messages of segments: neighbours of one size for one endpoint go as one message that the kernel cuts again (UDP_SEGMENT).
import { endpoints, field } from "./columns";
import {
  BatchField_groupsOffset,
  BatchField_segmentsOffset,
  BatchField_sendControlOffset,
  BatchField_sendIovecsOffset,
  BatchField_sendMessagesOffset,
  BatchField_touched,
  memoryHeaderOffset,
  MemoryField_address,
  scratch_iovec,
  scratch_message,
  scratch_sendControl,
  segmentBytes,
  SegmentField_header,
  SegmentField_headerLength,
  SegmentField_packet,
  SegmentField_payload,
  SegmentField_payloadLength,
} from "./layout";

// The largest payload of a datagram over IPv4.
const MOST_BYTES: usize = 65_507;
const AF_INET6: u16 = 10;
const SOL_UDP: u32 = 17;
const UDP_SEGMENT: u32 = 103;
const CONTROL_BYTES: u64 = 24;
const CONTROL_LENGTH: u64 = 18;

// @ts-ignore: decorator
@inline
function endpointOf(batch: usize, segment: usize): usize {
  return <usize>load<u32>(endpoints(batch) + 4 * <usize>load<u32>(segment + SegmentField_packet));
}
// @ts-ignore: decorator
@inline
function sizeOf(segment: usize): usize {
  return <usize>load<u32>(segment + SegmentField_headerLength) + <usize>load<u32>(segment + SegmentField_payloadLength);
}

/** Reads all endpoints, as `readAhead` of the stages reads entries. */
function readAhead(batch: usize, from: usize, end: usize): void {
  let sum: u32 = 0;
  for (let segment = from; segment < end; segment += segmentBytes) sum += load<u32>(endpointOf(batch, segment));
  store<u32>(batch + BatchField_touched, sum);
}

/** Makes messages of the segments from `from` up to `until`, each of at most `most` segments; gives how many messages. */
export function gatherMessages(batch: usize, from: usize, until: usize, most: usize): usize {
  const base = load<u64>(memoryHeaderOffset + MemoryField_address);
  const segments = field(batch, BatchField_segmentsOffset);
  const groups = field(batch, BatchField_groupsOffset);
  const end = segments + until * segmentBytes;
  let message = field(batch, BatchField_sendMessagesOffset);
  let iovec = field(batch, BatchField_sendIovecsOffset);
  let control = field(batch, BatchField_sendControlOffset);
  let made: usize = 0;
  let segment = segments + from * segmentBytes;
  readAhead(batch, segment, end);
  while (segment < end) {
    const endpoint = endpointOf(batch, segment);
    const size = sizeOf(segment);
    const firstIovec = iovec;
    store<u32>(groups + 4 * made, <u32>((segment - segments) / segmentBytes));
    let together: usize = 0;
    let bytes: usize = 0;
    let open = true;
    while (open) {
      const own = sizeOf(segment);
      const header = <u64>load<u32>(segment + SegmentField_header);
      const headerLength = <u64>load<u32>(segment + SegmentField_headerLength);
      store<u64>(iovec, base + header);
      store<u64>(iovec, headerLength, 8);
      iovec += scratch_iovec;
      const payloadLength = <u64>load<u32>(segment + SegmentField_payloadLength);
      if (payloadLength != 0) {
        store<u64>(iovec, base + <u64>load<u32>(segment + SegmentField_payload));
        store<u64>(iovec, payloadLength, 8);
        iovec += scratch_iovec;
      }
      together++;
      bytes += own;
      segment += segmentBytes;
      open = own == size && own != 0 && together < most && segment < end && endpointOf(batch, segment) == endpoint;
      if (open) {
        const next = sizeOf(segment);
        open = next <= size && next != 0 && bytes + next <= MOST_BYTES;
      }
    }
    store<u64>(message, base + <u64>endpoint);
    store<u64>(message, load<u16>(endpoint) == AF_INET6 ? 28 : 16, 8);
    store<u64>(message, base + <u64>firstIovec, 16);
    store<u64>(message, <u64>((iovec - firstIovec) / scratch_iovec), 24);
    if (together > 1) {
      store<u64>(control, CONTROL_LENGTH);
      store<u32>(control, SOL_UDP, 8);
      store<u32>(control, UDP_SEGMENT, 12);
      store<u64>(control, <u64>size, 16);
      store<u64>(message, base + <u64>control, 32);
      store<u64>(message, CONTROL_BYTES, 40);
      control += scratch_sendControl;
    } else {
      store<u64>(message, 0, 32);
      store<u64>(message, 0, 40);
    }
    store<u64>(message, 0, 48);
    message += scratch_message;
    made++;
  }
  store<u32>(groups + 4 * made, <u32>((segment - segments) / segmentBytes));
  return made;
}
