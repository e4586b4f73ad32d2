import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../repository/root.ts";
import { runVitest } from "./run-vitest.ts";
import { type Step, type StepContext, type StepResult, sum } from "./step.ts";

// Without an operating system below them, these run wherever JavaScript does.
const purePackages = ["ip", "packet", "netlink", "encap", "subnet", "lease", "lease-memory", "backend"];
const nodes = ["node22", "node26"];

/** The pure packages' tests on the oldest Node that is supported and on the newest. */
export const unitTestsOtherNodes: Step = {
  name: "unit-tests-other-nodes",
  title: "Unit tests of the pure packages on Node 22 and 26",
  run,
};

async function run(context: StepContext): Promise<StepResult> {
  const results: StepResult[] = [];
  for (const name of nodes) {
    const node = join(root, "docs/node_modules", name, "bin/node");
    if (!existsSync(node)) {
      results.push({ passed: 0, failed: 0, skipped: [`${name} is not installed on this kind of machine`] });
      continue;
    }
    const paths = purePackages.map((folder) => `packages/${folder}/`);
    results.push(await runVitest({ project: "unit", label: name, node, paths }, context));
  }
  return sum(results);
}
