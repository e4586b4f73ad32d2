import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { describeGiven, formatExitCodeTable, formatFlagTable, formatUsage } from "./format-usage.ts";
import { allFlags, parseFlags } from "./parse-flags.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

test("the README has the table of flags", () => {
  expect(cells(between("flags"))).toEqual(cells(formatFlagTable()));
});

test("the README has the table of exit codes", () => {
  expect(cells(between("exit-codes"))).toEqual(cells(formatExitCodeTable()));
});

test("formatUsage() names every flag and command", () => {
  const usage = formatUsage();
  for (const { name } of allFlags) expect(usage).toContain(`\n  --${name}`);
  for (const command of ["run", "status", "explain", "cleanup"]) expect(usage).toContain(`\n  ${command}`);
});

test("formatUsage() tells the defaults of flags that take a value", () => {
  const usage = formatUsage();
  expect(usage).toContain("where the subnet is written for containers (default /run/flannel/subnet.env)");
  expect(usage).toContain(
    "members, separated by commas (default http://127.0.0.1:4001,http://127.0.0.1:2379)",
  );
  expect(usage).not.toContain("user of etcd (default");
});

test("describeGiven() masks secrets", () => {
  const { given, values } = parseFlags(["--etcd-username=u", "--etcd-password=p"], {});
  expect(describeGiven(given, values)).toEqual({ "etcd-username": "u", "etcd-password": "***" });
});

/** A formatter may align the columns. */
function cells(table = ""): string[][] {
  const lines = table.split("\n").filter((line) => !/^[|\s:-]+$/.test(line));
  return lines.map((line) => line.split("|").map((cell) => cell.trim()));
}

function between(name: string): string | undefined {
  return new RegExp(`<!-- ${name} -->\\n\\n(.*?)\\n\\n<!-- /${name} -->`, "s").exec(readme)?.[1];
}
