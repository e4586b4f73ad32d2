import { readdirSync, readFileSync, rmSync } from "node:fs";
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
  const folders = readdirSync(tmpdir()).filter(isStale);
  for (const name of folders) rmSync(join(tmpdir(), name), { recursive: true });
  return [...new Set([...namespaces, ...folders])];
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
