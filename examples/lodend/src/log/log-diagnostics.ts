import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { formatObject, type StateObject } from "@loden/route";
import type { LogFields, Logger, LogLevel } from "./logger.ts";

/** The channels on which the libraries tell what happens. */
const channels = ["loden:lease", "loden:backend", "loden:route", "loden:firewall"];

/**
 * Turns what the libraries publish on their diagnostics channels into log lines, and counts it.
 *
 * @param logger writes the lines.
 * @param onEvent told of each event: its area (`lease`), type (`watch-retrying`) and what else was published.
 * @returns call it to stop.
 */
export function logDiagnostics(
  logger: Logger,
  onEvent: (area: string, type: string, fields: LogFields) => void,
): () => void {
  const listen = (message: unknown, name: string | symbol): void => {
    const area = String(name).replace("loden:", "");
    const { type, ...fields } = message as { readonly type: string } & Record<string, unknown>;
    onEvent(area, type, fields);
    logger.log(levelOf(area, type), `${area}: ${wordsOf(type)}`, inWords(fields));
  };
  for (const channel of channels) subscribe(channel, listen);
  return () => {
    for (const channel of channels) unsubscribe(channel, listen);
  };
}

/** What happened to an object of the kernel's is told in the words of `ip`. */
function inWords(fields: LogFields): LogFields {
  const words = objectFields
    .filter((name) => fields[name] !== undefined)
    .map((name) => [name, formatObject(fields[name] as StateObject)]);
  return { ...fields, ...Object.fromEntries(words) };
}

const objectFields = ["object", "current", "other"] as const;

/** Where it is neither, something was in the way and may come right by itself. */
const levels: Readonly<Record<string, LogLevel>> = {
  "race-lost": "debug",
  // An outage is told when it begins and when it ends.
  "watch-retrying": "debug",
  changed: "info",
  accepted: "info",
  repaired: "info",
  kernelPathChanged: "info",
  attributesChanged: "info",
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
