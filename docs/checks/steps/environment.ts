import { accessSync, closeSync, constants, openSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether skipping is forbidden. */
export const ci: boolean = process.env["CI"] === "true";

/** Whether this process is root. */
export const isRoot: boolean = process.getuid?.() === 0;

/** Where TUN devices come from. */
export const tunPath = "/dev/net/tun";

/** Whether this process may open TUN devices; root in a namespace needs it too. */
export function canOpenTun(): boolean {
  try {
    closeSync(openSync(tunPath, "r+"));
    return true;
  } catch {
    return false;
  }
}

/** Where a command of the system lies; `undefined` when it is missing. Looks where only root's PATH leads, too. */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
