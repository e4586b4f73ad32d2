import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deleteNetns, listNetns } from "@loden/netns";

/**
 * Names a namespace of this run of the lab: `loden-<pid>-<what>`.
 *
 * @param what its place, e.g. `host1`.
 */
export function netnsName(what: string): string {
  return `loden-${process.pid}-${what}`;
}

/**
 * Names the folder of a host of this run, for its `subnet.env`.
 *
 * @param host its name.
 */
export function folderName(host: string): string {
  return join(tmpdir(), netnsName(host));
}

/**
 * Deletes what earlier runs left that were killed: namespaces and folders whose process is no lab any more.
 *
 * @returns the names of what was deleted.
 */
export function removeStale(): string[] {
  const namespaces = listNetns().filter(isStale);
  for (const name of namespaces) deleteNetns(name);
  const folders = readdirSync(tmpdir()).filter((name) => isStale(name) && isOwn(name));
  for (const name of folders) rmSync(join(tmpdir(), name), { recursive: true });
  return [...new Set([...namespaces, ...folders])];
}

/** Other users have labs too. */
function isOwn(name: string): boolean {
  return statSync(join(tmpdir(), name), { throwIfNoEntry: false })?.uid === process.getuid?.();
}

function isStale(name: string): boolean {
  const pid = /^loden-(\d+)-/.exec(name)?.[1];
  return pid !== undefined && !isLab(Number(pid));
}

function isLab(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("lab/src/main");
  } catch {
    return false;
  }
}
