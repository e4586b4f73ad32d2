import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder, and those above it, where they are missing (0755).
 *
 * Unlike the recursive mode of `mkdirSync`, which goes on for ever where a file system makes no folders and answers `ENOENT`, as `/proc`
 * does, this ends.
 *
 * @param path the folder.
 * @throws {Error} as the file system answers; what is there by then stays.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
