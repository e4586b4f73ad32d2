import { namespaceEntry } from "./namespace.ts";
import { runCommand } from "./run-command.ts";
import { oneCheck, type Step, type StepContext, type StepResult, sum } from "./step.ts";

/** Every benchmark once with a single round: its figures mean nothing then, but it still runs. */
export const benchmarks: Step = { name: "benchmarks", title: "Benchmarks, one round each", run };

const bench = [process.execPath, "--conditions=@loden/source", "examples/bench/src/main.ts"] as const;

/** What a benchmark leaves out unless it is asked for. */
const parts: Readonly<Record<string, readonly (readonly string[])[]>> = {
  dataplane: [["--only", "vxlan6,loden6"]],
};

async function run(context: StepContext): Promise<StepResult> {
  const { signal } = context;
  const list = await runCommand([...bench, "--json"], { signal });
  if (!list.ok) return oneCheck(false);
  const { benchmarks: found } = JSON.parse(list.stdout) as { benchmarks: { name: string }[] };
  if (found.length === 0) {
    console.log("no benchmark was found");
    return oneCheck(false);
  }
  const entry = await namespaceEntry(signal);
  if ("reason" in entry) return { passed: 0, failed: 0, skipped: [`benchmarks: ${entry.reason}`] };
  const results: StepResult[] = [];
  const runs = found.flatMap(({ name }) => [[name], ...(parts[name] ?? []).map((words) => [name, ...words])]);
  for (const [name = "", ...words] of runs) {
    const options = ["--json", "--rounds", "1", "--seconds", "0.3", ...words];
    const outcome = await runCommand([...entry.prefix, ...bench, name, ...options], { signal });
    const ok = outcome.ok && isReport(outcome.stdout, name);
    const what = [name, ...words].join(" ");
    console.log(`${ok ? "ok    " : "FAILED"} ${what}`);
    results.push(oneCheck(ok, `${what}: ${outcome.ok ? "printed no report" : outcome.reason}`));
  }
  return sum(results);
}

function isReport(output: string, name: string): boolean {
  try {
    const report = JSON.parse(output) as { name?: string; ratios?: object };
    if (report.name === name && typeof report.ratios === "object") return true;
  } catch {
    // said below
  }
  console.log(`${name} printed no report: ${output.slice(0, 2_000)}`);
  return false;
}
