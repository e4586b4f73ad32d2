import { namespaceEntry } from "./namespace.ts";
import { runVitest } from "./run-vitest.ts";
import type { Step, StepContext, StepResult } from "./step.ts";

/** Tests on real kernel objects, in network and mount namespaces of their own. */
export const kernelTests: Step = { name: "kernel-tests", title: "Kernel tests in namespaces", run };

async function run(context: StepContext): Promise<StepResult> {
  const entry = await namespaceEntry(context.signal);
  if ("reason" in entry) return { passed: 0, failed: 0, skipped: [`kernel tests: ${entry.reason}`] };
  return runVitest({ project: "kernel", label: "kernel", prefix: entry.prefix }, context);
}
