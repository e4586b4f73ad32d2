import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { ExitCode } from "./exit/exit-codes.ts";
import { LodendError } from "./exit/lodend-error.ts";
import { makeFolder } from "./make-folder.ts";

/**
 * Writes `subnet.env` so that a reader sees the old text or the new one, never a part: a temporary file beside it, synced, renamed.
 * The folder is made where it is missing (0755); the file is readable by everybody (0644), whatever the umask.
 *
 * @param path the file.
 * @param text its new content.
 * @throws {LodendError} with the host's code, as the file system answers; the old file stays.
 */
export function writeSubnetFile(path: string, text: string): void {
  try {
    makeFolder(dirname(path));
    replaceFile(path, text);
  } catch (error) {
    throw refused("write", path, error as Error);
  }
}

function replaceFile(path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
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
 * @throws {LodendError} with the host's code, as the file system answers.
 */
export function readSubnetFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw refused("read", path, error as Error);
  }
}

function refused(verb: string, path: string, error: Error): LodendError {
  return new LodendError(
    ExitCode.host,
    `Cannot ${verb} the subnet file: ${path} gives "${error.message}", expected a file that can be read and replaced; ` +
      "mend that, or name another --subnet-file",
    { cause: error },
  );
}
