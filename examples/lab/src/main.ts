/**
 * `npm run lab`: a whole multi-host overlay on this machine. Hosts are network namespaces; everything is removed at the end.
 *
 * @module
 */
import { enterNamespaces } from "./enter-namespaces.ts";
import { removeStale } from "./names.ts";
import { parseArguments, USAGE, type LabArguments } from "./parse-arguments.ts";
import { runOnce } from "./run-once.ts";
import { runScreen } from "./run-screen.ts";

process.exitCode = await main();

async function main(): Promise<number> {
  let wanted: LabArguments;
  try {
    wanted = parseArguments(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}; see npm run lab -- --help`);
    return 2;
  }
  if (wanted.help) {
    console.log(USAGE);
    return 0;
  }
  const elsewhere = await enterNamespaces(wanted.backend);
  if (elsewhere !== undefined) return elsewhere;
  for (const name of removeStale())
    console.error(`lab: removed ${name}, left over from a run that was killed`);

  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  // Whoever reads our lines may go away, as `head` does; everything is removed all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => stop.abort());
  if (!wanted.once && process.stdout.isTTY) {
    await runScreen({ hosts: wanted.hosts, settings: wanted, signal: stop.signal });
    return 0;
  }
  const say = wanted.json ? (text: string) => console.error(text) : (text: string) => console.log(text);
  try {
    const report = await runOnce({ hosts: wanted.hosts, settings: wanted, say, signal: stop.signal });
    const { pairs, transfers, datagrams } = report;
    if (wanted.json) console.log(JSON.stringify(report));
    say(
      `${report.ok ? "all is well" : "SOMETHING IS WRONG"}: ${pairs.reachable} of ${pairs.total} pairs reachable, ` +
        `${transfers.equal} of ${transfers.total} transfers equal, ` +
        `${datagrams.ownSource} of ${datagrams.total} large datagrams from their own source`,
    );
    return report.ok ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say("interrupted; everything was removed");
    return 130;
  }
}
