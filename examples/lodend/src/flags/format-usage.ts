import { exitCodeMeanings } from "../exit/exit-codes.ts";
import type { Flag } from "./flag.ts";
import { allFlags } from "./parse-flags.ts";

/** The commands, and what each does. */
export const commands: Readonly<Record<string, string>> = {
  run: "joins the overlay and stays, until SIGINT or SIGTERM",
  status: "shows the running daemon: this host, its peers, and what is wrong",
  explain: "prints what `run` would program, and changes nothing",
  cleanup: "removes everything that `lodend` made on this host, also after a crash",
};

/** @returns what `--help` prints. */
export function formatUsage(): string {
  const lines = [
    "lodend [run | status | explain | cleanup] [flags]",
    "",
    ...Object.entries(commands).map(([name, about]) => `  ${name.padEnd(9)} ${plain(about)}`),
    "",
    "Flags, one dash or two; each also as FLANNELD_<NAME> (Loden's own: LODEND_<NAME>) in the environment:",
    "",
    ...allFlags.map(
      (flag) =>
        `  --${flag.name}${valueOf(flag)}\n        ${stanceOf(flag)}${plain(flag.about)}${defaultOf(flag)}`,
    ),
  ];
  return lines.join("\n");
}

/** @returns the table of flags of the README, as Markdown. */
export function formatFlagTable(): string {
  const row = (flag: Flag): string =>
    `| \`--${flag.name}\` | ${fallbackOf(flag)} | ${flag.origin} | ${flag.stance} | ${flag.about} |`;
  return [
    "| flag | default | whose | here | what for, or why not |",
    "| --- | --- | --- | --- | --- |",
    ...allFlags.map(row),
  ].join("\n");
}

/** @returns the table of exit codes of the README, as Markdown. */
export function formatExitCodeTable(): string {
  const rows = exitCodeMeanings.map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return ["| code | meaning |", "| --- | --- |", ...rows].join("\n");
}

/**
 * Says which flags were set, for the first log line. Secrets are masked.
 *
 * @param given the flags that were set.
 * @param values their values.
 * @returns name and value of each.
 */
export function describeGiven(
  given: ReadonlyMap<string, string>,
  values: ReadonlyMap<string, unknown>,
): Record<string, unknown> {
  const shown = allFlags.filter(({ name }) => given.has(name));
  return Object.fromEntries(
    shown.map(({ name, isSecret }) => [name, isSecret === true ? "***" : values.get(name)]),
  );
}

function valueOf(flag: Flag): string {
  if (flag.kind === "boolean") return flag.fallback === true ? "=false" : "";
  return ` ${flag.choices?.join("|") ?? flag.kind.replace("texts", "text")}`;
}

function stanceOf(flag: Flag): string {
  return flag.stance === "accepted" ? "" : `${flag.stance}: `;
}

function defaultOf(flag: Flag): string {
  const text = flag.stance === "accepted" && flag.kind !== "boolean" ? plain(fallbackOf(flag)) : "";
  return text === "" ? "" : ` (default ${text})`;
}

function fallbackOf({ fallback }: Flag): string {
  const text = Array.isArray(fallback) ? fallback.join(",") : String(fallback);
  return text === "" ? "" : `\`${text}\``;
}

function plain(text: string): string {
  return text.replaceAll("`", "");
}
