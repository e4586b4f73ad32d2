import { runCommand } from "./run-command.ts";
import { oneCheck, type Step } from "./step.ts";

/** Nothing lies about unused and no dependency is undeclared; the entries are in knip.json. */
export const unusedCode: Step = {
  name: "unused-code",
  title: "Unused files, exports and dependencies",
  run: async ({ signal }) => oneCheck((await runCommand(["knip"], { signal })).ok),
};
