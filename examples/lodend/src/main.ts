#!/usr/bin/env -S node --max-semi-space-size=1 --no-node-snapshot --optimize-for-size
/**
 * `lodend`: one host of an overlay.
 *
 *     flags -> control socket, probes -> store -> network's configuration -> interface between hosts
 *                                          |                                        |
 *                                          +-> lease: acquire, keep, follow -> backend: join, apply(peers)
 *                                                             +-> subnet.env, firewall, READY=1
 *
 * @module
 */
import type { Underlay } from "@loden/backend";
import { openRtnetlink } from "@loden/rtnetlink";
import { checkPrivileges } from "./check-privileges.ts";
import { openControlSocket } from "./control/control-socket.ts";
import { createRunRecord, networksOf } from "./control/run-record.ts";
import { statusAnswers } from "./control/status.ts";
import { ExitCode } from "./exit/exit-codes.ts";
import { exitCodeOf } from "./exit/exit-code-of.ts";
import { firewallTableOf, guardFirewall } from "./firewall/guard-firewall.ts";
import { describeGiven, formatUsage } from "./flags/format-usage.ts";
import { type ParsedFlags, parseFlags } from "./flags/parse-flags.ts";
import { readSettings, type Settings } from "./flags/read-settings.ts";
import { guardBlackhole } from "./guard-blackhole.ts";
import { openHttpServer } from "./health/http-server.ts";
import { NodeHealth } from "./health/node-health.ts";
import { probeAnswers } from "./health/probe-answers.ts";
import { describeEvent } from "./log/describe-event.ts";
import { logDiagnostics } from "./log/log-diagnostics.ts";
import { openLogger } from "./log/open-logger.ts";
import { checkNetwork, openBackend, underlayNeeds } from "./open-backend.ts";
import { runNode } from "./run-node.ts";
import { runTogether } from "./run-together.ts";
import { stopOnSignals } from "./stop-on-signals.ts";
import { observeStore } from "./store/observe-store.ts";
import { openStore } from "./store/open-store.ts";
import { waitForNetwork } from "./store/wait-for-network.ts";
import { watchNetwork } from "./store/watch-network.ts";
import { announceReadiness } from "./systemd/announce-readiness.ts";
import { beatWatchdog } from "./systemd/beat-watchdog.ts";
import { openServiceManager } from "./systemd/notify.ts";
import { chooseUnderlay } from "./underlay/choose-underlay.ts";
import { greetPeers } from "./underlay/greet-peers.ts";
import { watchUnderlay } from "./underlay/watch-underlay.ts";
import { version } from "./version.ts";
import { whenDeviceLost } from "./when-device-lost.ts";
import { readSubnetFile } from "./write-subnet-file.ts";

const stopping = new AbortController();
// Whoever reads our lines may go away; that is no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
process.exit(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<ExitCode> {
  try {
    const flags = parseFlags(words, process.env);
    const print = (text: string): void => void process.stdout.write(text);
    if (flags.values.get("version") === true) print(`lodend ${version}\n`);
    else if (flags.values.get("help") === true) print(`${formatUsage()}\n`);
    else if (flags.command === "run") await run(flags, readSettings(flags));
    else {
      const { runCommand } = await import("./run-command.ts");
      return await runCommand({ flags, settings: readSettings(flags), print });
    }
    return ExitCode.stopped;
  } catch (error) {
    if (stopping.signal.aborted && (error as Error).name === "AbortError") return ExitCode.stopped;
    const { exitCode, line } = exitCodeOf(error);
    process.stderr.write(`lodend: ${line}\n`);
    return exitCode;
  }
}

async function run(flags: ParsedFlags, settings: Settings): Promise<void> {
  const { controlSocket, subnetFile, name, http } = settings;
  const logger = openLogger(settings);
  const health = new NodeHealth();
  const stop = stopOnSignals(stopping, logger, health);
  logger.log("info", `lodend ${version} starts`, describeGiven(flags.given, flags.values));
  checkPrivileges();
  await using open = new AsyncDisposableStack();
  open.defer(logDiagnostics(logger, (...event) => health.onDiagnostic(...event)));
  const manager = open.use(openServiceManager(process.env));
  const { store, observations } = observeStore(open.use(await openStore(settings)), {
    onOutage(error) {
      if (error === undefined) logger.log("info", "the store serves again");
      else logger.log("warn", "the store does not serve; peers stay as they are meanwhile", { error });
    },
  });
  health.store = observations;
  const probes = probeAnswers(health, version);
  const answers = { ...probes, ...statusAnswers({ health, store, settings, version }) };
  open.use(await openControlSocket(controlSocket, answers));
  if (http.port !== 0) open.use(await openHttpServer(http, probes));
  const table = firewallTableOf(name);
  const record = createRunRecord({ name, controlSocket, subnetFile, firewallTable: table });
  const network = await waitForNetwork(store, {
    unreachableMs: settings.storeWaitMs,
    signal: stop,
    onWaiting(reason) {
      health.set({ waiting: `it waits: ${reason.message}` });
      logger.log("warn", "waiting for the network's configuration", { reason });
    },
  });
  checkNetwork(network);
  record.note({ networks: networksOf(network) });
  const rtnetlink = open.use(openRtnetlink());
  const needs = underlayNeeds(network);
  const chosen = await chooseUnderlay(rtnetlink, settings.interface, needs);
  health.set({ underlay: chosen });
  const underlay = (): Underlay => health.underlay ?? chosen;
  logger.log("info", "chose the interface between hosts", { ...chosen });
  await runTogether(
    [
      (signal) =>
        runNode(
          {
            ...settings,
            ...settings.lease,
            store,
            openBackend: (config) =>
              openBackend(config, { ...settings, ...settings.interface, underlay: underlay() }),
            ipMasq: settings.firewall.masquerade,
            whenDeviceLost,
            underlayChanges: (wait) =>
              watchUnderlay({ rtnetlink, underlay: underlay(), needs, signal: wait }),
            greetPeers: (changed) => greetPeers(changed, health.peers, logger),
            onEvent(event) {
              health.onEvent(event);
              logger.log(...describeEvent(event));
            },
            signal,
          },
          (state) => {
            health.set({ node: state });
            record.note({ devices: state.backend.deviceNames, subnetEnv: readSubnetFile(subnetFile) });
          },
        ),
      (signal) => guardFirewall({ table, settings: settings.firewall, health, logger, signal }),
      (signal) => guardBlackhole({ isWanted: settings.blackholeRoute, network, health, logger, signal }),
      (signal) => watchNetwork({ store, intervalMs: settings.configPollMs, health, logger, signal }),
      (signal) => announceReadiness(health, manager, logger, signal),
      (signal) => beatWatchdog(manager, signal),
    ],
    stop,
  );
  logger.log("info", "stopped");
}
