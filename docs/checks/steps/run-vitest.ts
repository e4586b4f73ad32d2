import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { oneCheck, type StepContext, type StepResult } from "./step.ts";
import { runCommand } from "./run-command.ts";

/** Which tests are run and how. */
export interface VitestRun {
  readonly project: "unit" | "kernel" | "integration" | "repository";
  /** Names the report's file; unique within a run of `npm test`. */
  readonly label: string;
  /** Parts of paths that select test files; all of the project's when absent. */
  readonly paths?: readonly string[];
  /** The Node that runs them; this process's when absent. */
  readonly node?: string;
  /** Words before the command, as from `namespaceEntry`. */
  readonly prefix?: readonly string[];
}

// The members of vitest's JSON report that are read here.
interface Report {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

/** Runs vitest and counts test cases from its JSON report. No test at all, a file that does not load and a bad exit status are failures. */
export async function runVitest(run: VitestRun, context: StepContext): Promise<StepResult> {
  const file = join(context.scratch, `vitest-${run.label}.json`);
  const vitest = [
    run.node ?? process.execPath,
    "node_modules/vitest/vitest.mjs",
    "run",
    "--project",
    run.project,
  ];
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const [first, ...rest] = [...(run.prefix ?? []), ...vitest, ...reporters, ...(run.paths ?? [])];
  const { ok } = await runCommand([first ?? "", ...rest], { signal: context.signal, show: "live" });
  let report: Report;
  try {
    report = JSON.parse(await readFile(file, "utf8")) as Report;
  } catch (error) {
    console.log(`vitest wrote no report: ${String(error)}`);
    return oneCheck(false);
  }
  return count(report, ok);
}

function count(report: Report, ok: boolean): StepResult {
  const cases = report.testResults.flatMap((suite) => suite.assertionResults);
  const passed = cases.filter((test) => test.status === "passed").length;
  const failures = [
    ...cases
      .filter((test) => test.status === "failed")
      .map((test) => `${test.fullName}: ${firstLine(test.failureMessages?.[0])}`),
    ...report.testResults
      .filter(
        (suite) =>
          suite.status === "failed" && suite.assertionResults.every((test) => test.status !== "failed"),
      )
      .map(({ name }) => `${name}: the file broke off`),
  ];
  const skipped = cases
    .filter((test) => test.status !== "passed" && test.status !== "failed")
    .map((test) => `${test.fullName} (${test.status})`);
  let failed = failures.length;
  if (passed + failed === 0) {
    console.log("vitest ran no test");
    failed = 1;
  }
  if (!ok && failed === 0) {
    console.log("vitest failed although every test passed: see its output");
    failed = 1;
  }
  return { passed, failed, failures, skipped };
}

function firstLine(text: string = "no message"): string {
  return text.split("\n", 1)[0] ?? "";
}
