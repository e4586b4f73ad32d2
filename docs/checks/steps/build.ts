import { runCommand } from "./run-command.ts";
import { oneCheck, type Step } from "./step.ts";

/** Every package builds to JavaScript and declarations. */
export const build: Step = {
  name: "build",
  title: "Build of every package",
  run: async ({ signal }) =>
    oneCheck(
      (
        await runCommand(
          ["turbo", "run", "build", "--continue=dependencies-successful", "--output-logs=errors-only"],
          { signal },
        )
      ).ok,
    ),
};
