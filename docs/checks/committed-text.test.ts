import { expect, test } from "vitest";
import { listFiles, read } from "./repository/workspace.ts";

const binary = /\.(?:png|jpg|gif|ico|wasm|pcap|pcapng)$/;
const files = listFiles().filter((file) => !binary.test(file));

// The text is read everywhere, so it names nothing that exists in one place only, and nobody left a merge half done.
const patterns = [
  {
    what: "the host of a package registry",
    pattern: /\bregistry\.[a-z]+\.[a-z]+|\bnpmjs\.(?:org|com)\b|\bdeb\.debian\.org\b/,
  },
  { what: "a path of one machine", pattern: /(?<![\w.])\/(?:work|home|Users)\/[\w.-]+/ },
  {
    what: "a page that is not in the repository",
    pattern: /\bshared\/(?:design|reference|prototype|hooks)\b|\bDEVELOPERS\.md\b/,
  },
  { what: "a side of a merge", pattern: /^(?:<{7}|>{7}) / },
  { what: "a tool of one workplace", pattern: /\bissues (?:show|list|comment|close)\b/ },
];

test("there are files", () => {
  expect(files.length).toBeGreaterThan(0);
});

test.each(patterns)("no file names $what", ({ pattern }) => {
  const hits = files.flatMap((file) =>
    read(file)
      .split("\n")
      .flatMap((line, index) =>
        pattern.test(line) ? [`${file}:${index + 1}: ${line.trim().slice(0, 120)}`] : [],
      ),
  );
  expect(hits).toEqual([]);
});
