// `npm test`: everything this machine can test, in this order. `npm test -- --help` lists the steps.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchmarks } from "./steps/benchmarks.ts";
import { build } from "./steps/build.ts";
import { changesets } from "./steps/changesets.ts";
import { ci } from "./steps/environment.ts";
import { format } from "./steps/format.ts";
import { integrationTests } from "./steps/integration-tests.ts";
import { kernelTests } from "./steps/kernel-tests.ts";
import { lab } from "./steps/lab.ts";
import { labUnprivileged } from "./steps/lab-unprivileged.ts";
import { lint } from "./steps/lint.ts";
import { packing } from "./steps/packing.ts";
import { repositoryTests } from "./steps/repository-tests.ts";
import { type Step, type StepResult, sum } from "./steps/step.ts";
import { systemPackages } from "./steps/system-packages.ts";
import { typecheck } from "./steps/typecheck.ts";
import { unitTests } from "./steps/unit-tests.ts";
import { unitTestsOtherNodes } from "./steps/unit-tests-other-nodes.ts";
import { unusedCode } from "./steps/unused-code.ts";

const steps: readonly Step[] = [
  systemPackages,
  format,
  lint,
  typecheck,
  build,
  unusedCode,
  changesets,
  unitTests,
  unitTestsOtherNodes,
  kernelTests,
  integrationTests,
  repositoryTests,
  packing,
  lab,
  labUnprivileged,
  benchmarks,
];

const minutesPerStep = 30;
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => interrupted.abort(signal));
}
process.exitCode = await main();

async function main(): Promise<number> {
  const only = readArguments();
  if (only === undefined) {
    console.log(usage());
    return 0;
  }
  const chosen = choose(only);
  const scratch = await mkdtemp(join(tmpdir(), "loden-checks-"));
  const results: { step: Step; result: StepResult; seconds: number }[] = [];
  try {
    for (const [index, step] of chosen.entries()) {
      if (interrupted.signal.aborted) break;
      console.log(`\n== ${index + 1}/${chosen.length} ${step.title} (${step.name})`);
      const start = performance.now();
      const result = await runStep(step, scratch);
      const seconds = (performance.now() - start) / 1000;
      console.log(describe(result, seconds));
      results.push({ step, result, seconds });
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return summarise(results, chosen);
}

/** The steps that are asked for; none for all of them, `undefined` for the usage. */
function readArguments(): readonly string[] | undefined {
  const options = {
    only: { type: "string", multiple: true },
    help: { type: "boolean", short: "h" },
  } as const;
  try {
    const { values } = parseArgs({ options });
    return values.help === true ? undefined : (values.only ?? []);
  } catch (error) {
    console.error(`Cannot start the tests: ${(error as Error).message}; see npm test -- --help`);
    process.exit(2);
  }
}

function usage(): string {
  const width = Math.max(...steps.map(({ name }) => name.length));
  return [
    "npm test -- [--only STEP]...",
    "",
    "Tests everything that this machine can test, in this order, and says what it could not.",
    "",
    ...steps.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
  ].join("\n");
}

function choose(names: readonly string[]): readonly Step[] {
  for (const name of names) {
    if (!steps.some((step) => step.name === name)) {
      console.error(`No step is called "${name}". The steps: ${steps.map((step) => step.name).join(", ")}`);
      process.exit(2);
    }
  }
  return names.length === 0 ? steps : steps.filter((step) => names.includes(step.name));
}

// A step that throws has failed; the next one runs all the same.
async function runStep(step: Step, scratch: string): Promise<StepResult> {
  const limit = AbortSignal.timeout(minutesPerStep * 60_000);
  const signal = AbortSignal.any([limit, interrupted.signal]);
  try {
    const result = await step.run({ signal, scratch });
    if (result.passed + result.failed + (result.skipped?.length ?? 0) > 0) return countSkipped(result);
  } catch (error) {
    console.log(error);
    return { passed: 0, failed: 1, failures: [String(error)] };
  }
  return { passed: 0, failed: 1, failures: ["nothing to test was found"] };
}

function countSkipped(result: StepResult): StepResult {
  return ci ? { ...result, failed: result.failed + (result.skipped?.length ?? 0) } : result;
}

function describe({ passed, failed, skipped = [] }: StepResult, seconds: number): string {
  const lines = skipped.map((what) => `   not run${ci ? ", which is a failure under CI" : ""}: ${what}`);
  return [...lines, `-- ${passed} passed, ${failed} failed in ${seconds.toFixed(1)} s`].join("\n");
}

function summarise(
  results: readonly { step: Step; result: StepResult; seconds: number }[],
  chosen: readonly Step[],
): number {
  console.log("\n== Summary");
  for (const { step, result, seconds } of results) {
    const verdict = result.failed > 0 ? "FAILED" : result.passed > 0 ? "passed" : "not run";
    console.log(
      `${verdict.padEnd(8)} ${step.name.padEnd(24)} ${String(result.passed).padStart(5)} passed ${String(result.failed).padStart(4)} failed ${seconds.toFixed(1).padStart(7)} s`,
    );
    for (const what of result.skipped ?? []) console.log(`         not run: ${what}`);
    for (const what of result.failures ?? []) console.log(`         failed: ${what}`);
  }
  const missing = chosen.length - results.length;
  if (missing > 0) console.log(`interrupted: ${missing} steps were not reached`);
  const total = sum(results.map(({ result }) => result));
  const failed = total.failed + missing;
  console.log(`\n${total.passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}
