import { expect, test } from "vitest";
import { exportsOf, parseSource } from "./repository/parse-source.ts";
import { listFiles, listPackages, listSources, read } from "./repository/workspace.ts";

const packages = listPackages();
const files = listFiles();
const mostLines = 400;

test("the repository has files to check", () => {
  expect(files.length).toBeGreaterThan(0);
  expect(packages.length).toBeGreaterThan(0);
});

test("the top level has the folders of the architecture and no others", () => {
  const folders = new Set(files.filter((file) => file.includes("/")).map((file) => file.split("/")[0] ?? ""));
  expect([...folders].toSorted()).toEqual([".changeset", ".ci", "docs", "examples", "packages"]);
});

test("files and folders are named for what they hold", () => {
  const empty = /^(?:utils?|common|core|helpers?|misc|shared|lib)(?:\.|$)/i;
  const nameless = files.filter((file) => file.split("/").some((part) => empty.test(part)));
  expect(nameless).toEqual([]);
});

test("source files have kebab-case names", () => {
  const kebab =
    /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|kernel\.test|integration\.test|bench|fixture|config|wasm|d))?\.ts$/;
  expect(listSources().filter((file) => !kebab.test(file.split("/").at(-1) ?? ""))).toEqual([]);
});

test(`no file is longer than ${mostLines} lines`, () => {
  const generated = /\.wasm\.ts$|CHANGELOG\.md$/;
  const written = files.filter((file) => /\.(?:ts|mjs|js|md|sh)$/.test(file) && !generated.test(file));
  const long = written
    .map((file) => ({ file, lines: read(file).trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > mostLines);
  expect(long).toEqual([]);
});

test.each(packages)("$folder has tests", ({ folder }) => {
  expect(listSources(`${folder}/src/`).filter((file) => file.endsWith(".test.ts"))).not.toEqual([]);
});

test.each(packages)("$folder/src/index.ts is a module doc and named re-exports", ({ folder }) => {
  const source = parseSource(`${folder}/src/index.ts`);
  expect(source.comments[0]?.value, "module doc").toMatch(/@module/);
  const statements = source.program.body.filter((statement) => statement.type !== "ExportNamedDeclaration");
  expect(statements.map((statement) => source.text.slice(statement.start, statement.end))).toEqual([]);
  const names = exportsOf(source);
  expect(names, "it exports something").not.toEqual([]);
  expect(names.filter(({ name, from }) => from === undefined || name === "*" || name === "default")).toEqual(
    [],
  );
});

test("exports are named, not default", () => {
  const withDefault = listSources("packages/")
    .concat(listSources("examples/"))
    .filter((file) => exportsOf(parseSource(file)).some(({ name }) => name === "default"));
  expect(withDefault).toEqual([]);
});
