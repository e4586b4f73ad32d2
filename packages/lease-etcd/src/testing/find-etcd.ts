import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Finds etcd on this machine.
 *
 * @returns the path of the server; `undefined` when it is not installed
 */
export function findEtcd(): string | undefined {
  return findCommand("etcd");
}

/**
 * @param name - of a program
 * @returns its path; `undefined` when it is not installed
 */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"];
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
