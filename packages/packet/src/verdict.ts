/**
 * What became of a packet: 0 is `pass`, everything else is the reason for a drop.
 *
 * The numbers are stored in a batch's `verdicts` column and index the drop counters; they never change their meaning.
 */
export const Verdict = {
  /** Goes on to the next stage. */
  pass: 0,
  /** Shorter than a header: 20 bytes of IPv4, 40 of IPv6; an empty datagram too. */
  tooShort: 1,
  /** The version is neither 4 nor 6. */
  badVersion: 2,
  /** Header length below 20 or beyond the packet, or a length in the header that isn't the packet's; an IPv6 jumbogram. */
  badLength: 3,
  /** No peer's subnet holds the inner destination. */
  noRoute: 4,
  /** TTL or hop limit 0 or 1 where it would have been decremented. */
  ttlExpired: 5,
  /** Longer than the tunnel or path MTU. */
  tooBig: 6,
  /** The outer source is no peer's endpoint. */
  unknownSender: 7,
  /** The inner source isn't in a subnet of the peer that sent the datagram. */
  foreignSource: 8,
  /** The inner destination isn't in our subnet. */
  foreignDestination: 9,
  /** The encapsulation header could not be decoded. */
  badEncapsulation: 10,
  /** The kernel refused to send the datagram. */
  sendFailed: 11,
  /** The kernel refused to take the packet. */
  writeFailed: 12,
} as const;

/** One of the numbers of {@link Verdict}. */
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Name of a verdict other than `pass`. */
export type DropReason = Exclude<keyof typeof Verdict, "pass">;

/** Names of the verdicts other than `pass`, in the order of their numbers: `dropReasons[verdict - 1]`. */
export const dropReasons: readonly DropReason[] = (Object.keys(Verdict) as (keyof typeof Verdict)[]).filter(
  (name) => name !== "pass",
);
