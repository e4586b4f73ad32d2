import { readFileSync } from "node:fs";
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
 * Deletes the namespaces of earlier runs that were killed: those whose process is no lab any more.
 *
 * @returns the names of those that were deleted.
 */
export function removeStale(): string[] {
  const stale = listNetns().filter((name) => {
    const pid = /^loden-(\d+)-/.exec(name)?.[1];
    return pid !== undefined && !isLab(Number(pid));
  });
  for (const name of stale) deleteNetns(name);
  return stale;
}

function isLab(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("lab/src/main");
  } catch {
    return false;
  }
}
