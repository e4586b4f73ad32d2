import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { undocumented } from "./repository/documentation.ts";
import { exportsOf, parseSource } from "./repository/parse-source.ts";
import { root } from "./repository/root.ts";
import { entryPoints, listPackages } from "./repository/workspace.ts";

const entries = listPackages().flatMap(entryPoints);

test("there are entry points", () => {
  expect(entries.length).toBeGreaterThan(0);
});

test.each(entries)("every export of $specifier is documented", ({ specifier, source }) => {
  expect(existsSync(join(root, source)), `${source} exists`).toBe(true);
  // a worker's program needs no exports
  const least = specifier.endsWith("/pump") ? 0 : 1;
  expect(exportsOf(parseSource(source)).length).toBeGreaterThanOrEqual(least);
  expect(undocumented(source)).toEqual([]);
});
