import { openFirewall } from "@loden/firewall";
import { openRtnetlink } from "@loden/rtnetlink";
import { checkPrivileges } from "./check-privileges.ts";
import { cleanUp } from "./control/clean-up.ts";
import { askDaemon } from "./control/control-socket.ts";
import { explain } from "./control/explain.ts";
import { formatStatus } from "./control/format-status.ts";
import type { Status } from "./control/status.ts";
import { ExitCode } from "./exit/exit-codes.ts";
import { LodendError } from "./exit/lodend-error.ts";
import { firewallTableOf } from "./firewall/guard-firewall.ts";
import { commands } from "./flags/format-usage.ts";
import type { ParsedFlags } from "./flags/parse-flags.ts";
import type { Settings } from "./flags/read-settings.ts";
import { checkNetwork } from "./open-backend.ts";
import { openStore } from "./store/open-store.ts";
import { waitForNetwork } from "./store/wait-for-network.ts";

/** What a command works with. */
export interface CommandSources {
  readonly flags: ParsedFlags;
  readonly settings: Settings;
  /** Takes what the command is asked for. */
  readonly print: (text: string) => void;
}

/**
 * Runs one of the commands that do their work and end: `status`, `explain` or `cleanup`.
 *
 * @param sources flags and output.
 * @returns the code to exit with.
 * @throws {LodendError} with the usage code for a command that there is not.
 */
export async function runCommand(sources: CommandSources): Promise<ExitCode> {
  switch (sources.flags.command) {
    case "status":
      return await showStatus(sources);
    case "explain":
      return await explainHost(sources);
    case "cleanup":
      return await cleanUpHost(sources);
    default:
      throw new LodendError(
        ExitCode.usage,
        `Cannot run command "${sources.flags.command}": there is none of that name, expected one of ${Object.keys(commands).join(", ")}`,
      );
  }
}

async function showStatus({ flags, settings, print }: CommandSources): Promise<ExitCode> {
  const { controlSocket } = settings;
  const text = await askDaemon(controlSocket, "/status");
  if (text === undefined) {
    throw new LodendError(
      ExitCode.control,
      `Cannot show the status: no lodend listens at ${controlSocket}, expected one; start it, or name it with --name`,
    );
  }
  const status = JSON.parse(text) as Status;
  print(flags.values.get("json") === true ? text : `${formatStatus(status)}\n`);
  return status.ready ? ExitCode.stopped : ExitCode.failed;
}

async function explainHost({ settings, print }: CommandSources): Promise<ExitCode> {
  const { signal } = new AbortController();
  await using store = await openStore(settings);
  const unreachableMs = Math.min(settings.storeWaitMs, EXPLAIN_WAIT_MS);
  const network = await waitForNetwork(store, { unreachableMs, waitsForConfig: false, signal });
  checkNetwork(network);
  using rtnetlink = openRtnetlink();
  print(await explain({ settings, store, network, rtnetlink, signal }));
  return ExitCode.stopped;
}

/** An operator waits in front of the terminal. */
const EXPLAIN_WAIT_MS = 5_000;

async function cleanUpHost({ settings, print }: CommandSources): Promise<ExitCode> {
  checkPrivileges();
  using rtnetlink = openRtnetlink();
  const removed = await cleanUp({
    settings,
    rtnetlink,
    firewallTable: firewallTableOf(settings.name),
    clearFirewall,
  });
  print(removed.map((what) => `removed ${what}\n`).join("") || "there was nothing to remove\n");
  return ExitCode.stopped;
}

async function clearFirewall(table: string): Promise<boolean> {
  using firewall = openFirewall({ table });
  const { changed } = await firewall.clear();
  return changed;
}
