import { readdirSync } from "node:fs";
import { NETNS_FOLDER } from "./netns-file.ts";

/**
 * Lists the named network namespaces.
 *
 * Like `ip netns list`.
 *
 * @returns their names, sorted; none where the folder does not exist.
 */
export function listNetns(): string[] {
  try {
    return readdirSync(NETNS_FOLDER).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
