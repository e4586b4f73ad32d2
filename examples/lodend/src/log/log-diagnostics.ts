import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Logger, LogLevel } from "./logger.ts";

/** The channels on which the libraries tell what happens. */
const channels = ["loden:lease", "loden:backend", "loden:route", "loden:firewall"];

/**
 * Turns what the libraries publish on their diagnostics channels into log lines, and counts it.
 *
 * @param logger writes the lines.
 * @param onEvent told of each event: its area (`lease`) and type (`watch-retrying`).
 * @returns call it to stop.
 */
export function logDiagnostics(logger: Logger, onEvent: (area: string, type: string) => void): () => void {
  const listen = (message: unknown, name: string | symbol): void => {
    const area = String(name).replace("loden:", "");
    const { type, ...fields } = message as { readonly type: string } & Record<string, unknown>;
    onEvent(area, type);
    logger.log(levelOf(area, type), `${area}: ${wordsOf(type)}`, fields);
  };
  for (const channel of channels) subscribe(channel, listen);
  return () => {
    for (const channel of channels) unsubscribe(channel, listen);
  };
}

/** Where it is neither, something was in the way and may come right by itself. */
const levels: Readonly<Record<string, LogLevel>> = {
  "race-lost": "debug",
  changed: "info",
  accepted: "info",
  repaired: "info",
  pumpRestarted: "error",
  deviceLost: "error",
  failed: "error",
  conflict: "error",
  locked: "error",
};

function levelOf(area: string, type: string): LogLevel {
  if (area === "route" && type === "changed") return "warn";
  return levels[type] ?? "warn";
}

/** `pumpRestarted` and `pump-restarted` as words. */
function wordsOf(type: string): string {
  return type
    .replaceAll(/([a-z])([A-Z])/g, "$1 $2")
    .replaceAll("-", " ")
    .toLowerCase();
}
