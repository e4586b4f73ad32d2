import { publishBackendEvent } from "./backend-event.ts";

/** A lease that a backend can't serve. */
export interface SkippedPeer {
  /** The subnet of the lease, as text. */
  readonly subnet: string;
  /** Why, in words. */
  readonly reason: string;
}

/**
 * Creates a function that takes all peers that are skipped now, as often as that is looked at, and says each of them once: again only for
 * another reason, or after it could be served in between. It publishes on the diagnostics channel `loden:backend`.
 *
 * @param backend the backend's type.
 * @param type what it publishes: `peerDoubtful` for peers that are served all the same.
 * @returns the function.
 */
export function createPeerReports(
  backend: string,
  type: "peerSkipped" | "peerDoubtful" = "peerSkipped",
): (skipped: readonly SkippedPeer[]) => void {
  let reported: ReadonlyMap<string, string> = new Map();
  return (skipped) => {
    const before = reported;
    reported = new Map(skipped.map(({ subnet, reason }) => [subnet, reason]));
    for (const [subnet, reason] of reported)
      if (before.get(subnet) !== reason) publishBackendEvent({ type, backend, subnet, reason });
  };
}
