/**
 * What became of a packet: 0 is `pass`, everything else is the reason for a drop.
 *
 * The numbers are stored in a batch's `verdicts` column and index the drop counters; they never change their meaning.
 */
export const Verdict = {
  /** Goes on to the next stage. */
  pass: 0,
  /** Shorter than an IPv4 header of 20 bytes; an empty datagram too. */
  tooShort: 1,
  /** The version is neither 4 nor 6. */
  badVersion: 2,
  /** An IPv6 packet where only IPv4 is carried (a router solicitation, say). */
  notIpv4: 3,
  /** Header length below 20 or beyond the packet, or a total length that isn't the packet's length. */
  badLength: 4,
  /** No peer's subnet holds the inner destination. */
  noRoute: 5,
  /** TTL 0 or 1 where it would have been decremented. */
  ttlExpired: 6,
  /** Longer than the tunnel or path MTU. */
  tooBig: 7,
  /** The outer source is no peer's endpoint. */
  unknownSender: 8,
  /** The inner source isn't in a subnet of the peer that sent the datagram. */
  foreignSource: 9,
  /** The inner destination isn't in our subnet. */
  foreignDestination: 10,
  /** The encapsulation header could not be decoded. */
  badEncapsulation: 11,
  /** The kernel refused to send the datagram. */
  sendFailed: 12,
  /** The kernel refused to take the packet. */
  writeFailed: 13,
} as const;

/** One of the numbers of {@link Verdict}. */
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Name of a verdict other than `pass`. */
export type DropReason = Exclude<keyof typeof Verdict, "pass">;

/** Names of the verdicts other than `pass`, in the order of their numbers: `dropReasons[verdict - 1]`. */
export const dropReasons: readonly DropReason[] = (Object.keys(Verdict) as (keyof typeof Verdict)[]).filter(
  (name) => name !== "pass",
);
