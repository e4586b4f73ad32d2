import { runCommand } from "./run-command.ts";
import { checkLabReport } from "./check-lab-report.ts";
import { findCommand } from "./environment.ts";
import { oneCheck, type Step, type StepContext, type StepResult, sum } from "./step.ts";

const labs: readonly { hosts: number; store: "memory" | "etcd"; kind?: readonly string[] }[] = [
  { hosts: 2, store: "memory" },
  { hosts: 3, store: "memory" },
  { hosts: 8, store: "memory" },
  { hosts: 3, store: "memory", kind: ["--dual-stack", "--nat"] },
  { hosts: 3, store: "memory", kind: ["--backend", "vxlan", "--dual-stack", "--nat"] },
  { hosts: 3, store: "memory", kind: ["--backend", "host-gw", "--dual-stack", "--nat"] },
  { hosts: 3, store: "etcd", kind: ["--mtu", "9001"] },
];

/** The README's main job, as a user starts it, with real packets between 2, 3 and 8 hosts, over each backend; and once over a real etcd. */
export const lab: Step = { name: "lab", title: "The lab: npm run -s lab -- --once --json", run };

async function run(context: StepContext): Promise<StepResult> {
  const results: StepResult[] = [];
  for (const { hosts, store, kind = [] } of labs) {
    if (store === "etcd" && findCommand("etcd") === undefined) {
      results.push({ passed: 0, failed: 0, skipped: ["the lab over etcd: etcd is not installed"] });
      continue;
    }
    const flags = ["--once", "--json", "--hosts", String(hosts), "--store", store, ...kind];
    const command = ["npm", "run", "-s", "lab", "--", ...flags] as const;
    const outcome = await runCommand(command, { signal: context.signal });
    results.push(oneCheck(outcome.ok && checkLabReport(outcome.stdout, hosts), flags.join(" ")));
  }
  return sum(results);
}
