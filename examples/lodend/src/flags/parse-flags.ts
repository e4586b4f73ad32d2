import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import type { Flag, FlagValue } from "./flag.ts";
import { flannelFlags } from "./flannel-flags.ts";
import { lodenFlags } from "./loden-flags.ts";

/** Every flag, flannel's first. */
export const allFlags: readonly Flag[] = [...flannelFlags, ...lodenFlags];

/** What a command line and an environment say. */
export interface ParsedFlags {
  /** The first word that is no flag: `run` where there is none. */
  readonly command: string;
  /** Every flag's value, its default included; durations in milliseconds. */
  readonly values: ReadonlyMap<string, FlagValue>;
  /** The flags that were set, by whom: `--iface`, or the variable's name. */
  readonly given: ReadonlyMap<string, string>;
}

/**
 * Reads a command line as flanneld does: one dash or two, `--flag=value` or `--flag value`, booleans alone or with `=`. A flag that is not given is
 * taken from `FLANNELD_<NAME>`, Loden's own from `LODEND_<NAME>`, where that is not empty.
 *
 * @param words the command line, without node and the script.
 * @param environment the process's variables.
 * @returns the values.
 * @throws {LodendError} with the usage code, for an unknown flag, a value that is none, or a refused flag that is set to something other than its default.
 */
export function parseFlags(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedFlags {
  const values = new Map<string, FlagValue>();
  const given = new Map<string, string>();
  const commands: string[] = [];
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith("-") || word === "-") {
      commands.push(word);
      continue;
    }
    const [, name = "", , inline] = /^--?([^=]*)(=(.*))?$/s.exec(word) ?? [];
    const flag = allFlags.find((candidate) => candidate.name === (name === "h" ? "help" : name));
    if (flag === undefined) throw wrong(`there is no flag ${word.replace(/=.*/s, "")}; see lodend --help`);
    const text = inline ?? (flag.kind === "boolean" ? "true" : rest.shift());
    const origin = `--${flag.name}`;
    if (text === undefined) throw wrong(`${origin} has no value, expected one after it`);
    set(values, flag, parseValue(flag, text, origin), given.get(flag.name) === origin);
    given.set(flag.name, origin);
  }
  for (const flag of allFlags.filter(({ name }) => !given.has(name))) {
    const origin = variableOf(flag);
    const text = environment[origin] ?? "";
    if (text !== "") {
      set(values, flag, parseValue(flag, text, origin), false);
      given.set(flag.name, origin);
    } else values.set(flag.name, fallbackOf(flag));
  }
  if (commands.length > 1) throw wrong(`"${commands[1]}" after "${commands[0]}", expected one command`);
  refuse(values, given);
  return { command: commands[0] ?? "run", values, given };
}

/**
 * Names the environment variable of a flag, as flanneld does.
 *
 * @param flag the flag.
 * @returns e.g. `FLANNELD_ETCD_ENDPOINTS`.
 */
export function variableOf(flag: Pick<Flag, "name" | "origin">): string {
  const prefix = flag.origin === "flannel" ? "FLANNELD_" : "LODEND_";
  return prefix + flag.name.toUpperCase().replaceAll(/[-.]/g, "_");
}

function set(values: Map<string, FlagValue>, flag: Flag, value: FlagValue, again: boolean): void {
  const before = again && flag.kind === "texts" ? (values.get(flag.name) as readonly string[]) : [];
  values.set(flag.name, Array.isArray(value) ? [...before, ...(value as readonly string[])] : value);
}

function fallbackOf(flag: Flag): FlagValue {
  return flag.kind === "duration" ? parseValue(flag, String(flag.fallback), flag.name) : flag.fallback;
}

function parseValue(flag: Flag, text: string, origin: string): FlagValue {
  const shown = flag.isSecret === true ? "wrong" : `"${text}"`;
  switch (flag.kind) {
    case "text":
      if (flag.choices === undefined || flag.choices.includes(text)) return text;
      throw wrong(`${origin} is ${shown}, expected ${flag.choices.join(" or ")}`);
    case "texts":
      return [text];
    case "boolean":
      if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
      if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
      throw wrong(`${origin} is ${shown}, expected true or false`);
    case "integer": {
      const [least, most] = flag.range ?? [0, Number.MAX_SAFE_INTEGER];
      const value = /^[+-]?(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : Number.NaN;
      if (value >= least && value <= most) return value;
      throw wrong(`${origin} is ${shown}, expected a whole number from ${least} to ${most}`);
    }
    case "duration": {
      const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
      if (unit in unitMs) return Number(number) * unitMs[unit as keyof typeof unitMs];
      throw wrong(`${origin} is ${shown}, expected a duration such as 90s, 5m or 24h`);
    }
  }
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function refuse(values: ReadonlyMap<string, FlagValue>, given: ReadonlyMap<string, string>): void {
  for (const flag of allFlags) {
    const origin = given.get(flag.name);
    if (flag.stance !== "refused" || origin === undefined) continue;
    if (values.get(flag.name) !== flag.fallback)
      throw wrong(`${origin} is not possible: ${flag.about.replaceAll("`", "")}`);
  }
}

function wrong(what: string): LodendError {
  return new LodendError(ExitCode.usage, `Cannot read the command line: ${what}`);
}
