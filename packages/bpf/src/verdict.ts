/**
 * What a program at a network device answers in r0.
 *
 * Source: `enum tcx_action_base` of `include/uapi/linux/bpf.h`.
 */
export const Verdict = {
  /** The next program decides; after the last one the packet goes on. */
  next: -1,
  /** The packet goes on, and no other program sees it. */
  pass: 0,
  /** The packet ends here. */
  drop: 2,
  /** The packet goes where `redirect` or `redirect_neigh` said: they return this number. */
  redirect: 7,
} as const;
