import { describe, expect, test } from "vitest";
import { listFiles, read } from "./repository/workspace.ts";

const records = listFiles()
  .filter((file) => /^docs\/decisions\/\d/.test(file))
  .map((file) => ({ file, name: file.split("/").at(-1) ?? "", text: read(file) }));

test("there are records of decisions", () => {
  expect(records.length).toBeGreaterThan(0);
});

describe.each(records)("$file", ({ name, text }) => {
  test("has the number of its name, and the four parts in their order", () => {
    expect(name).toMatch(/^\d{4}(?:-[a-z0-9]+)+\.md$/);
    expect(titleOf(text)).toMatch(new RegExp(`^${name.slice(0, 4)}: .`));
    const parts = [...text.matchAll(/^\*\*(\w+)\*\*/gm)].map(([, part]) => part);
    expect(parts.filter((part) => fourParts.includes(part ?? ""))).toEqual(fourParts);
  });

  test("names only records that name it too, where one takes another's place", () => {
    const status = /^\*\*Status\*\*: (.+)$/m.exec(text)?.[1] ?? "";
    expect(status).toMatch(/^(?:accepted|replaced)/);
    for (const [, other = ""] of status.matchAll(/\]\((\d{4}-[\w-]+\.md)\)/g))
      expect(read(`docs/decisions/${other}`), `${other} names ${name}`).toContain(name.slice(0, 4));
  });
});

test("the index lists each record once, in order, with its title", () => {
  const listed = [...read("docs/decisions/README.md").matchAll(/^- \[(\d{4})\]\((.+?)\): (.+)$/gm)];
  expect(listed.map(([, number = "", file, title = ""]) => [file, `${number}: ${title}`])).toEqual(
    records.map(({ name, text }) => [name, titleOf(text)]),
  );
});

const fourParts = ["Status", "Context", "Decision", "Consequences"];

function titleOf(text: string): string {
  return /^# (.+)$/m.exec(text)?.[1] ?? "";
}
