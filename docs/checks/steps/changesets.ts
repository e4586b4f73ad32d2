import { runCommand } from "./run-command.ts";
import { oneCheck, type Step, type StepContext, type StepResult } from "./step.ts";

/** Every package that changed since the branch it started from has a changeset. */
export const changesets: Step = { name: "changesets", title: "A changeset for every change", run };

async function run(context: StepContext): Promise<StepResult> {
  const since = await firstThatExists(["origin/main", "main", "HEAD"], context);
  const { ok } = await runCommand(["changeset", "status", `--since=${since}`], { signal: context.signal });
  return oneCheck(ok);
}

// A fresh clone has origin/main, a working tree may have only main, a detached checkout only HEAD.
async function firstThatExists(references: readonly string[], { signal }: StepContext): Promise<string> {
  for (const reference of references) {
    const command = ["git", "rev-parse", "--verify", "--quiet", `${reference}^{commit}`] as const;
    if ((await runCommand(command, { signal, show: "never" })).ok) return reference;
  }
  throw new Error("Cannot find changed packages: there is no commit to compare with");
}
