/** What a step of `npm test` found. Skipped things are failures under CI, where nothing may be left out. */
export interface StepResult {
  readonly passed: number;
  readonly failed: number;
  /** One sentence each: what was not run and why. */
  readonly skipped?: readonly string[];
  /** What failed, by name, with the first line of why: the summary repeats it, because the end of a log is all that some readers see. */
  readonly failures?: readonly string[];
}

/** What `npm test` hands to each step. */
export interface StepContext {
  /** Aborted when the step has used up its time or the run is interrupted; every child process ends with it. */
  readonly signal: AbortSignal;
  /** A folder of this run for reports and scratch files; removed at the end. */
  readonly scratch: string;
}

/** One line of the list in `all.ts`. */
export interface Step {
  /** What `npm test -- --only NAME` takes. */
  readonly name: string;
  /** The heading that is printed. */
  readonly title: string;
  run(context: StepContext): Promise<StepResult>;
}

/** The result of one check; `what` names it in the summary when it failed. */
export function oneCheck(ok: boolean, what?: string): StepResult {
  if (ok) return { passed: 1, failed: 0 };
  return { passed: 0, failed: 1, failures: what === undefined ? [] : [what] };
}

/** Adds results up. */
export function sum(results: readonly StepResult[]): StepResult {
  return {
    passed: results.reduce((total, result) => total + result.passed, 0),
    failed: results.reduce((total, result) => total + result.failed, 0),
    skipped: results.flatMap((result) => result.skipped ?? []),
    failures: results.flatMap((result) => result.failures ?? []),
  };
}
