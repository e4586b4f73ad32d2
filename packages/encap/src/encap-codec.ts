/**
 * Puts an encapsulation header before an inner packet, and finds the inner packet in a datagram: in place, without
 * allocating, for packets that lie in one large memory.
 *
 * A codec holds no state of packets: one codec serves any number of them.
 */
export interface EncapCodec {
  /** Name for configuration and messages: "udp", "vxlan". */
  readonly name: string;
  /** Bytes inside the UDP payload before the inner packet. */
  readonly overhead: number;
  /** UDP port that this encapsulation usually goes to. */
  readonly defaultPort: number;
  /**
   * Writes the header into the `overhead` bytes before the inner packet.
   *
   * @param bytes where the packet lies.
   * @param offset of the inner packet, at least `overhead`: the bytes before it (the headroom) are overwritten.
   * @param length of the inner packet.
   * @returns where the UDP payload starts: `offset - overhead`. It is `overhead + length` long.
   */
  encode(bytes: Uint8Array, offset: number, length: number): number;
  /**
   * Finds the inner packet. Never throws, whatever the bytes.
   *
   * @param bytes where the UDP payload lies.
   * @param offset of the UDP payload.
   * @param length of the UDP payload.
   * @returns where the inner packet starts, up to the payload's end; or a negative number of `DecodeError`.
   */
  decode(bytes: Uint8Array, offset: number, length: number): number;
}

/** Why a datagram could not be decoded: the negative results of `EncapCodec.decode`. */
export const DecodeError = {
  /** The payload is shorter than the header. */
  tooShort: -1,
  /** VXLAN: the I flag, which says that there is a network identifier, isn't set. */
  missingFlag: -2,
  /** VXLAN: the datagram belongs to another network. */
  otherNetwork: -3,
} as const;

/** One of the numbers of {@link DecodeError}. */
export type DecodeError = (typeof DecodeError)[keyof typeof DecodeError];
