import { runCommand } from "./run-command.ts";
import { checkLabReport } from "./check-lab-report.ts";
import { oneCheck, type Step, type StepContext, type StepResult, sum } from "./step.ts";

const hostCounts = [2, 3, 8];

/** The README's main job, as a user starts it, with real packets between 2, 3 and 8 hosts. */
export const lab: Step = { name: "lab", title: "The lab: npm run -s lab -- --once --json", run };

async function run(context: StepContext): Promise<StepResult> {
  const results: StepResult[] = [];
  for (const hosts of hostCounts) {
    const command = ["npm", "run", "-s", "lab", "--", "--once", "--json", "--hosts", String(hosts)] as const;
    const outcome = await runCommand(command, { signal: context.signal });
    results.push(oneCheck(outcome.ok && checkLabReport(outcome.stdout, hosts)));
  }
  return sum(results);
}
