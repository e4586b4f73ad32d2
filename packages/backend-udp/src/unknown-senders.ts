import { constants } from "@loden/linux";
import { type PacketBatch, Verdict } from "@loden/packet";

/** How many addresses are remembered; from then on none is told of any more. The counters go on. */
const MOST_SENDERS = 64;
/** Of each address: its family, and four words of which IPv4 uses one. */
const WORDS = 5;

/** Told of an address that is no peer's, and of the source inside its first datagram; 4 or 16 bytes each, the receiver's own. */
export type OnUnknownSender = (sender: Uint8Array, source: Uint8Array) => void;

/**
 * Makes the function that looks through a received batch for datagrams that were dropped as `unknownSender`, and tells of each sender
 * once. It allocates for a sender that is told of, and never otherwise: anybody can send datagrams.
 *
 * @param tell whom to tell.
 * @returns the function.
 */
export function createUnknownSenders(tell: OnUnknownSender): (batch: PacketBatch) => void {
  const known = new Uint32Array(MOST_SENDERS * WORDS);
  let count = 0;

  function isKnown(view: DataView, name: number): boolean {
    for (let entry = 0; entry < count * WORDS; entry += WORDS) {
      let word = 0;
      while (word < WORDS && known[entry + word] === wordOf(view, name, word)) word++;
      if (word === WORDS) return true;
    }
    return false;
  }

  return ({ count: packets, verdicts, endpoints, offsets, view, bytes }) => {
    for (let i = 0; i < packets && count < MOST_SENDERS; i++) {
      const name = endpoints[i] as number;
      if (verdicts[i] !== Verdict.unknownSender || name === 0 || isKnown(view, name)) continue;
      for (let word = 0; word < WORDS; word++) known[count * WORDS + word] = wordOf(view, name, word);
      count++;
      const isIpv4 = view.getUint16(name, true) === constants.AF_INET;
      const sender = isIpv4 ? bytes.slice(name + 4, name + 8) : bytes.slice(name + 8, name + 24);
      tell(sender, sourceOf(bytes, offsets[i] as number));
    }
  };
}

function wordOf(view: DataView, name: number, word: number): number {
  const family = view.getUint16(name, true);
  if (word === 0) return family;
  if (family !== constants.AF_INET) return view.getUint32(name + 4 + 4 * word, true);
  return word === 1 ? view.getUint32(name + 4, true) : 0;
}

function sourceOf(bytes: Uint8Array, packet: number): Uint8Array {
  const isIpv4 = (bytes[packet] as number) >> 4 === 4;
  return isIpv4 ? bytes.slice(packet + 12, packet + 16) : bytes.slice(packet + 8, packet + 24);
}
