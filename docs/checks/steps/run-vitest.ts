import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { root } from "../repository/root.ts";
import { runCommand } from "./run-command.ts";
import type { StepContext, StepResult } from "./step.ts";

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
interface Case {
  readonly status: string;
  readonly fullName: string;
  readonly failureMessages?: readonly string[];
}

interface Report {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly Case[];
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
    return { passed: 0, failed: 1, failures: [`vitest wrote no report: ${String(error)}`] };
  }
  return count(report, ok);
}

function count(report: Report, ok: boolean): StepResult {
  const cases = report.testResults.flatMap((suite) => suite.assertionResults);
  const passed = cases.filter((test) => test.status === "passed").length;
  const failures = report.testResults.flatMap(failuresOf);
  const skipped = cases
    .filter((test) => test.status !== "passed" && test.status !== "failed")
    .map((test) => `${test.fullName} (${test.status})`);
  if (passed + failures.length === 0) failures.push("vitest ran no test");
  if (!ok && failures.length === 0) failures.push("vitest failed although every test passed: see its output");
  return { passed, failed: failures.length, skipped, failures };
}

// One line for each failed test; one for a file that failed without a failed test, as when it does not load.
function failuresOf(suite: Report["testResults"][number]): string[] {
  const file = relative(root, suite.name);
  const failed = suite.assertionResults.filter((test) => test.status === "failed");
  if (failed.length === 0) return suite.status === "failed" ? [`${file}: ${excerpt(suite.message)}`] : [];
  return failed.map(
    (test) => `${file}: ${test.fullName}: ${excerpt(test.failureMessages?.join("\n") ?? "")}`,
  );
}

// The message up to the stack, and the first place in our own code.
function excerpt(message: string): string {
  const lines = stripVTControlCharacters(message).split("\n");
  const stack = lines.findIndex((line) => /^\s+at /.test(line));
  const said = (stack < 0 ? lines : lines.slice(0, stack)).join(" ").replaceAll(/\s+/g, " ").slice(0, 600);
  const place = lines.find((line) => /^\s+at .*\.test\.ts:/.test(line));
  return place === undefined ? said : `${said} (${place.trim()})`;
}
