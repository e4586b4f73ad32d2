import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { listPackages } from "../repository/workspace.ts";
import { runCommand } from "./run-command.ts";
import { oneCheck, type Step, type StepContext, type StepResult } from "./step.ts";

/** Every package that changed since the last release is named by a pending changeset. */
export const changesets: Step = { name: "changesets", title: "A changeset for every change", run };

interface Status {
  readonly releases: readonly { readonly name: string; readonly type: string }[];
}

async function run(context: StepContext): Promise<StepResult> {
  const { signal, scratch } = context;
  const base = await lastRelease(context);
  const file = join(scratch, "changesets.json");
  const status = await runCommand(["changeset", "status", `--since=${base}`, `--output=${file}`], { signal });
  if (!status.ok) return oneCheck(false);
  const { releases } = JSON.parse(await readFile(file, "utf8")) as Status;
  const named = new Set(releases.filter(({ type }) => type !== "none").map(({ name }) => name));
  const changed = await git(["diff", "--name-only", base, "--", "packages"], context);
  const missing = listPackages().filter(
    ({ folder, manifest }) =>
      changed.some((path) => path.startsWith(`${folder}/`)) && !named.has(manifest.name),
  );
  for (const { manifest } of missing) {
    console.log(`${manifest.name} changed since ${base} and no changeset names it: npm run changeset`);
  }
  return oneCheck(missing.length === 0);
}

// A release writes changelogs; before the first one everything since the first commit counts.
async function lastRelease(context: StepContext): Promise<string> {
  const [release] = await git(["log", "-1", "--format=%H", "--", "packages/*/CHANGELOG.md"], context);
  const [first] =
    release === undefined ? await git(["rev-list", "--max-parents=0", "HEAD"], context) : [release];
  if (first === undefined) throw new Error("Cannot find changed packages: the repository has no commit");
  return first;
}

async function git(args: readonly string[], { signal }: StepContext): Promise<readonly string[]> {
  const { ok, stdout } = await runCommand(["git", ...args], { signal });
  if (!ok) throw new Error(`Cannot find changed packages: git ${args.join(" ")} failed`);
  return stdout.split("\n").filter((line) => line !== "");
}
