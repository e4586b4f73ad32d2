// What recvmmsg brought: a slot holds one datagram, or a train of them (UDP_GRO), which becomes an entry each.
import { endpoints, field, lengths, offsets, parts, peers, verdicts, virtio } from "./columns";
import {
  BatchField_capacity,
  BatchField_controlOffset,
  BatchField_count,
  BatchField_entries,
  BatchField_iovecsOffset,
  BatchField_messagesOffset,
  BatchField_namesOffset,
  BatchField_slotBytes,
  BatchField_slotsOffset,
  HEADROOM,
  memoryHeaderOffset,
  MemoryField_address,
  scratch_control,
  scratch_iovec,
  scratch_message,
  scratch_name,
  Verdict_badLength,
} from "./layout";

const SOL_UDP: u32 = 17;
const UDP_GRO: u32 = 104;
const MSG_TRUNC: u32 = 0x20;

/** Points one message at each slot. */
export function prepareReceive(batch: usize): void {
  const base = load<u64>(memoryHeaderOffset + MemoryField_address);
  const capacity = field(batch, BatchField_capacity);
  const slotBytes = field(batch, BatchField_slotBytes);
  for (let i: usize = 0; i < capacity; i++) {
    const iovec = field(batch, BatchField_iovecsOffset) + i * scratch_iovec;
    store<u64>(iovec, base + <u64>(field(batch, BatchField_slotsOffset) + i * slotBytes + HEADROOM));
    store<u64>(iovec, <u64>(slotBytes - HEADROOM), 8);
    const message = field(batch, BatchField_messagesOffset) + i * scratch_message;
    store<u64>(message, base + <u64>(field(batch, BatchField_namesOffset) + i * scratch_name));
    store<u64>(message, base + <u64>iovec, 16);
    store<u64>(message, 1, 24);
    store<u64>(message, base + <u64>(field(batch, BatchField_controlOffset) + i * scratch_control), 32);
    rearm(message);
  }
}

// @ts-ignore: decorator
@inline
function rearm(message: usize): void {
  store<u64>(message, <u64>scratch_name, 8);
  store<u64>(message, <u64>scratch_control, 40);
  store<u64>(message, 0, 48);
}

/** Makes entries of the first `messages` messages and readies these for the next call; gives how many entries. */
export function takeReceived(batch: usize, messages: usize): usize {
  const slotBytes = field(batch, BatchField_slotBytes);
  const room = slotBytes - HEADROOM;
  const entries = field(batch, BatchField_entries);
  let made: usize = 0;
  for (let i: usize = 0; i < messages; i++) {
    const message = field(batch, BatchField_messagesOffset) + i * scratch_message;
    const control = field(batch, BatchField_controlOffset) + i * scratch_control;
    const name: usize = load<u32>(message, 8) == 0 ? 0 : field(batch, BatchField_namesOffset) + i * scratch_name;
    const cut = (load<u32>(message, 48) & MSG_TRUNC) != 0;
    let left = <usize>load<u32>(message, 56);
    if (left > room) left = room;
    let size = left;
    if (load<u64>(message, 40) >= 20 && load<u32>(control, 8) == SOL_UDP && load<u32>(control, 12) == UDP_GRO) {
      const given = <usize>load<u32>(control, 16);
      if (given != 0 && given < left) size = given;
    }
    rearm(message);
    let at = field(batch, BatchField_slotsOffset) + i * slotBytes + HEADROOM;
    // Room for one entry of each message to come is always left.
    const most = entries - (messages - i - 1);
    do {
      const last = made + 1 == most;
      const length = left <= size || last ? left : size;
      const entry: usize = 4 * made;
      store<u32>(offsets(batch) + entry, <u32>at);
      store<u32>(lengths(batch) + entry, <u32>length);
      store<u32>(verdicts(batch) + entry, cut || length > size ? Verdict_badLength : 0);
      store<u32>(peers(batch) + entry, <u32>-1);
      store<u32>(endpoints(batch) + entry, <u32>name);
      store<u32>(virtio(batch) + entry, 0);
      store<u32>(parts(batch) + entry, 0);
      made++;
      at += length;
      left -= length;
    } while (left > 0);
  }
  store<u32>(batch + BatchField_count, <u32>made);
  return made;
}
