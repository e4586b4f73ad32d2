import { expect, test } from "vitest";
import { listFiles, read } from "./repository/workspace.ts";

const page = "docs/flannel-defects.md";
// The last cell of a row: [name](../file): title
const rows = [...read(page).matchAll(/\| \[[^\]]+\]\(\.\.\/([^)]+)\): (.+?) \|$/gm)].map(
  ([, file = "", title = ""]) => ({ file, title }),
);

test("every row names a test", () => {
  const lines = read(page)
    .split("\n")
    .filter((line) => /^\| (?!---|Situation|Report)/.test(line));
  expect(rows.length).toBeGreaterThan(30);
  expect(lines).toHaveLength(rows.length);
});

test.each(rows)("$file has the test: $title", ({ file, title }) => {
  expect(listFiles()).toContain(file);
  expect(read(file)).toContain(title);
});
