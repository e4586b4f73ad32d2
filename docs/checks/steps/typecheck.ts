import { runCommand } from "./run-command.ts";
import { oneCheck, type Step } from "./step.ts";

/** The type checker accepts every workspace member. */
export const typecheck: Step = {
  name: "typecheck",
  title: "Types of every workspace member",
  run: async ({ signal }) =>
    oneCheck(
      (
        await runCommand(
          ["turbo", "run", "typecheck", "--continue=dependencies-successful", "--output-logs=errors-only"],
          { signal },
        )
      ).ok,
    ),
};
