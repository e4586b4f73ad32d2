// npm run bench -- NAME [--json] [--rounds N] [--seconds N] [--only WORDS] [--base DIR]; without NAME it lists what there is.
import { parseArgs } from "node:util";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { findBenchmarks } from "./find-benchmarks.ts";

const usage = `npm run bench -- [NAME] [--json] [--rounds N] [--seconds N] [--only WORDS] [--base DIR]

Runs the benchmark NAME; without one, lists them. docs/benchmarks.md says what the figures mean.

  --json         print one JSON object on standard output
  --rounds N     how often everything is measured (default 15; fewer only show that it runs)
  --seconds N    how long each measurement takes (default: what suits the benchmark)
  --only WORDS   dataplane: only these measurements and rows, separated by commas
  --base DIR     dataplane: another checkout of this repository, to compare with`;
process.exitCode = await main();

async function main(): Promise<number> {
  const { name, json, ...amount } = readArguments();
  const found = await findBenchmarks();
  if (name === undefined) {
    const list = found.map(({ file, benchmark }) => ({ name: benchmark.name, file }));
    console.log(json ? JSON.stringify({ benchmarks: list }) : describeList(list));
    return 0;
  }
  const chosen = found.find(({ benchmark }) => benchmark.name === name);
  if (chosen === undefined) {
    console.error(
      `No benchmark is called "${name}".\n${describeList(found.map(({ file, benchmark }) => ({ name: benchmark.name, file })))}`,
    );
    return 2;
  }
  // a benchmark may say how far it is; standard output belongs to the result
  console.log = console.error;
  const { ratios, figures = {} } = await chosen.benchmark.run(amount);
  const result = json
    ? JSON.stringify({ name, ratios, figures })
    : describeResult(name, amount.rounds, { ratios, figures });
  process.stdout.write(`${result}\n`);
  return 0;
}

interface Arguments extends BenchmarkOptions {
  readonly name: string | undefined;
  readonly json: boolean;
}

function readArguments(): Arguments {
  const options = {
    json: { type: "boolean" },
    rounds: { type: "string" },
    seconds: { type: "string" },
    only: { type: "string" },
    base: { type: "string" },
    help: { type: "boolean", short: "h" },
  } as const;
  const args = process.argv.slice(2);
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    const rounds = Number(values.rounds ?? 15);
    const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
    if (values.help === true) {
      console.log(usage);
      process.exit(0);
    }
    const isWrong = !Number.isSafeInteger(rounds) || rounds < 1 || (seconds !== undefined && !(seconds > 0));
    if (positionals.length > 1 || isWrong) {
      throw new TypeError(
        `Cannot read the arguments: ${args.join(" ")}, expected at most one NAME, a whole number of rounds from 1, and seconds above 0`,
      );
    }
    const only = values.only?.split(",");
    return { name: positionals[0], json: values.json === true, rounds, seconds, only, base: values.base };
  } catch (error) {
    console.error(`${(error as Error).message}; see npm run bench -- --help`);
    process.exit(2);
  }
}

function describeList(list: readonly { name: string; file: string }[]): string {
  if (list.length === 0) return "There are no benchmarks yet.";
  const width = Math.max(...list.map(({ name }) => name.length));
  const rows = list.map(({ name, file }) => `  ${name.padEnd(width)}  ${file}`);
  return [
    "The benchmarks, one of which npm run bench -- NAME runs (--help lists the options):",
    "",
    ...rows,
  ].join("\n");
}

function describeResult(name: string, rounds: number, { ratios, figures = {} }: BenchmarkResult): string {
  const warning = rounds < 15 ? " (fewer than 15: only shows that it runs)" : "";
  const lines = [`${name}, ${rounds} rounds${warning}`, "", ...table("ratio (median)", ratios)];
  if (Object.keys(figures).length > 0) lines.push("", ...table("figure", figures));
  return lines.join("\n");
}

function table(title: string, values: Readonly<Record<string, number>>): readonly string[] {
  const rows = Object.entries(values).map(([key, value]) => [key, format(value)] as const);
  const width = Math.max(title.length, ...rows.map(([key]) => key.length));
  return [
    `${title.padEnd(width)}  ${"value".padStart(12)}`,
    ...rows.map(([key, value]) => `${key.padEnd(width)}  ${value.padStart(12)}`),
  ];
}

function format(value: number): string {
  return Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString("en") : value.toPrecision(4);
}
