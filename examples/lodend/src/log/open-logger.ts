import type { Settings } from "../flags/read-settings.ts";
import { createLogger, type Logger } from "./logger.ts";

/**
 * Opens the log on standard error.
 *
 * @param settings format, verbosity, and the secrets that it must not tell.
 */
export function openLogger({ log, etcd }: Pick<Settings, "log" | "etcd">): Logger {
  const isHuman = log.format === "human" || (log.format === "auto" && process.stderr.isTTY);
  return createLogger({
    format: isHuman ? "human" : "json",
    isVerbose: log.isVerbose,
    secrets: etcd.password === undefined ? [] : [etcd.password],
    write: (line) => void process.stderr.write(line),
  });
}
