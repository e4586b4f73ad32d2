import { runCommand } from "./run-command.ts";
import { oneCheck, type Step } from "./step.ts";

/** The committed text is what oxfmt would write; `npm run format` mends it. */
export const format: Step = {
  name: "format",
  title: "Formatting",
  run: async ({ signal }) => oneCheck((await runCommand(["oxfmt", "--check"], { signal })).ok),
};
