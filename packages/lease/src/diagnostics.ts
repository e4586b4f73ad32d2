import { channel } from "node:diagnostics_channel";

/** What this package publishes on the `node:diagnostics_channel` named "loden:lease". */
export type LeaseDiagnostic =
  /** An entry in the store that cannot be read was left out. */
  | { readonly type: "entry-skipped"; readonly key: string; readonly value: string; readonly reason: string }
  /** Another host was faster; `acquireLease` chooses again. */
  | { readonly type: "race-lost"; readonly error: Error; readonly attempt: number }
  /** Another host has the subnet that the config assigns to this one, so `acquireLease` looks for another subnet. */
  | { readonly type: "assignment-taken"; readonly subnet: string; readonly by: string }
  /** `keepLease` saw somebody else write this host's lease with this host's address: two hosts have it, or two programs on this host keep leases. */
  | { readonly type: "held-elsewhere"; readonly subnet: string; readonly reason: string }
  /** A watch broke off; it is started again after `delayMs`, and nothing is withdrawn meanwhile. */
  | {
      readonly type: "watch-retrying";
      readonly error: unknown;
      readonly attempt: number;
      readonly delayMs: number;
    };

/** Name of the channel on which this package and every lease adapter publish a `LeaseDiagnostic`. */
export const leaseChannelName = "loden:lease";

const leaseChannel = channel(leaseChannelName);

/**
 * Publishes a diagnostic to whoever subscribed to "loden:lease"; costs next to nothing when nobody did.
 *
 * @param diagnostic - What happened.
 */
export function publishDiagnostic(diagnostic: LeaseDiagnostic): void {
  if (leaseChannel.hasSubscribers) leaseChannel.publish(diagnostic);
}
