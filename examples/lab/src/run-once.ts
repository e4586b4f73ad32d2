import { dropsText, formatBytes } from "./render-screen.ts";
import { openLab, NETWORK } from "./lab.ts";
import type { StoreName } from "./open-storage.ts";
import { runChecks, type CheckReport } from "./run-checks.ts";
import { UNDERLAY } from "./underlay.ts";

/** What {@link runOnce} is told. */
export interface RunOnceOptions {
  readonly hosts: number;
  /** Where leases are kept. */
  readonly store: StoreName;
  /** Takes each line. */
  readonly say: (text: string) => void;
  /** Aborted by Ctrl-C: everything is removed all the same. */
  readonly signal: AbortSignal;
}

/**
 * Makes an overlay, checks it, prints plain lines, and removes it.
 *
 * @param options how many hosts, and where lines go.
 * @returns what the checks found.
 */
export async function runOnce({ hosts, store, say, signal }: RunOnceOptions): Promise<CheckReport> {
  say(
    `${hosts} hosts, each a network namespace with a bridge and two containers, on a switch with ${UNDERLAY.toString()}`,
  );
  say(
    `they share the overlay ${NETWORK}: every host leases one subnet of it and tells the others where it can be reached`,
  );
  if (store === "etcd")
    say("their leases are kept in a real etcd, started for this run, as flannel keeps them");
  const lab = await openLab(store, say);
  try {
    for (let i = 0; i < hosts; i++) {
      signal.throwIfAborted();
      await lab.addHost();
    }
    say("every container pings every other host's, then bytes move over TCP and are compared at the far end");
    const report = await runChecks(lab, say, signal);
    for (const host of lab.hosts) {
      const { sent, received, drops, device, routes } = await host.view();
      say(
        `${host.name}: ${routes.join(" | ")}; ${device} sent ${sent.packets} packets (${formatBytes(sent.bytes)}), ` +
          `received ${received.packets} (${formatBytes(received.bytes)}), dropped: ${dropsText(drops)}`,
      );
    }
    return report;
  } finally {
    await lab.close();
  }
}
