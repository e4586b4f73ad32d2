import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Writes `subnet.env` so that a reader sees the old text or the new one, never a part: a temporary file beside it, synced, renamed.
 * The folder is made where it is missing (0755); the file is readable by everybody (0644), whatever the umask.
 *
 * @param path the file.
 * @param text its new content.
 * @throws {Error} as the file system answers; the old file stays.
 */
export function writeSubnetFile(path: string, text: string): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const temporary = join(folder, `.${basename(path)}.${process.pid}`);
  try {
    const fd = openSync(temporary, "w", 0o644);
    try {
      fchmodSync(fd, 0o644);
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Reads the file that {@link writeSubnetFile} writes.
 *
 * @param path the file.
 * @returns its text, or `undefined` where there is none.
 */
export function readSubnetFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
