import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../repository/root.ts";
import { listPackages, type Member } from "../repository/workspace.ts";
import { tryConsumer } from "./consumer.ts";
import { runCommand } from "./run-command.ts";
import { oneCheck, type Step, type StepContext, type StepResult, sum } from "./step.ts";

/** What users would get: tarballs that publint and attw accept, installed together by npm outside the workspace. */
export const packing: Step = { name: "packing", title: "Packed packages, and a consumer of them", run };

async function run(context: StepContext): Promise<StepResult> {
  const { signal } = context;
  const built = await runCommand(["turbo", "run", "build", "--output-logs=errors-only"], { signal });
  if (!built.ok) return oneCheck(false);
  const packages = listPackages();
  const tarballs = new Map<string, string>();
  const results: StepResult[] = [];
  for (const member of packages) {
    const tarball = await pack(member, context);
    if (tarball === undefined) {
      results.push(oneCheck(false, `packing ${member.manifest.name}`));
      continue;
    }
    tarballs.set(member.manifest.name, tarball);
    results.push(oneCheck(await isWellPacked(tarball, signal), `publint or attw of ${member.manifest.name}`));
  }
  if (tarballs.size < packages.length || tarballs.size === 0) return sum([...results, oneCheck(false)]);
  return sum([...results, await tryConsumer(packages, tarballs, context)]);
}

async function pack(member: Member, context: StepContext): Promise<string | undefined> {
  const folder = join(context.scratch, "tarballs", member.short);
  await mkdir(folder, { recursive: true });
  const command = ["pnpm", "pack", "--pack-destination", folder] as const;
  const { ok } = await runCommand(command, { signal: context.signal, cwd: join(root, member.folder) });
  const [file, ...more] = ok ? await readdir(folder) : [];
  if (file === undefined || more.length > 0) {
    console.log(
      `${member.manifest.name}: packing gave ${file === undefined ? "no tarball" : "several files"}`,
    );
    return undefined;
  }
  return join(folder, file);
}

async function isWellPacked(tarball: string, signal: AbortSignal): Promise<boolean> {
  const published = await runCommand(["publint", "run", tarball, "--strict"], { signal });
  const typed = await runCommand(["attw", tarball, "--profile", "esm-only", "--no-emoji"], { signal });
  return published.ok && typed.ok;
}
