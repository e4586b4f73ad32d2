import { closeSync, openSync } from "node:fs";

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
