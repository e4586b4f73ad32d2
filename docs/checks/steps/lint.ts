import { runCommand } from "./run-command.ts";
import { oneCheck, type Step } from "./step.ts";

/** No warning of oxlint, which asks the type checker too; the rules are in .oxlintrc.json. */
export const lint: Step = {
  name: "lint",
  title: "Lint, type-aware",
  run: async ({ signal }) =>
    oneCheck((await runCommand(["oxlint", "--type-aware", "--deny-warnings"], { signal })).ok),
};
