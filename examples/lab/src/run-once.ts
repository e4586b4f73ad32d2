import { dropsText, formatBytes } from "./render-screen.ts";
import { howPacketsTravel, whatIsOutside, whoCarriesPackets } from "./explain-lab.ts";
import { openLab } from "./lab.ts";
import { familiesOf, type LabSettings, NETWORKS } from "./lab-settings.ts";
import { runChecks, type CheckReport } from "./run-checks.ts";
import { UNDERLAYS } from "./underlay.ts";

/** What {@link runOnce} is told. */
export interface RunOnceOptions {
  readonly hosts: number;
  readonly settings: LabSettings;
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
export async function runOnce({ hosts, settings, say, signal }: RunOnceOptions): Promise<CheckReport> {
  const families = familiesOf(settings);
  const list = (texts: Readonly<Record<4 | 6, { toString(): string }>>): string =>
    families.map((family) => texts[family].toString()).join(" and ");
  say(
    `${hosts} hosts, each a network namespace with a bridge and two containers, on a switch with ${list(UNDERLAYS)}, MTU ${settings.mtu}`,
  );
  say(
    `they share the overlay ${list(NETWORKS)}: every host leases one subnet of it and tells the others where it can be reached`,
  );
  say(howPacketsTravel(settings));
  if (settings.nat) say(whatIsOutside());
  if (settings.store === "etcd")
    say("their leases are kept in a real etcd, started for this run, as flannel keeps them");
  const lab = await openLab(settings, say);
  try {
    for (let i = 0; i < hosts; i++) {
      signal.throwIfAborted();
      await lab.addHost();
    }
    const carriers = whoCarriesPackets(await Promise.all(lab.hosts.map((host) => host.view())));
    if (carriers !== undefined) say(carriers);
    say("every container pings every other host's, then bytes move over TCP and are compared at the far end");
    const report = await runChecks(lab, { say, signal });
    for (const host of lab.hosts) {
      const { sent, received, drops, device, routes } = await host.view();
      say(
        `${host.name}: ${routes.join(" | ")}; ${device ?? "no tunnel"} sent ${sent.packets} packets (${formatBytes(sent.bytes)}), ` +
          `received ${received.packets} (${formatBytes(received.bytes)}), dropped: ${dropsText(drops)}`,
      );
    }
    return report;
  } finally {
    await lab.close();
  }
}
