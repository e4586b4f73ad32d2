import { expect, test } from "vitest";
import { listSources, read } from "./repository/workspace.ts";

// The first cell of a row: | `ERR_LEASE_EXISTS` | ...
const listed = [...read("docs/errors.md").matchAll(/^\| *`(ERR_[A-Z0-9_]+)` *\|/gm)].flatMap(
  (match) => match[1] ?? [],
);

test("docs/errors.md has one entry for every code in the sources, in order", () => {
  const codes = new Set<string>();
  for (const file of [...listSources("packages/"), ...listSources("examples/")]) {
    if (/\.(?:test|bench)\.ts$/.test(file)) continue;
    for (const [, code = ""] of read(file).matchAll(/["'`](ERR(?:_[A-Z0-9]+)+)["'`]/g)) {
      if (isOurs(code)) codes.add(code);
    }
  }
  expect(codes.size).toBeGreaterThan(0);
  expect(listed).toEqual([...codes].toSorted());
});

// Node's own codes may be mentioned; they are documented elsewhere.
function isOurs(code: string): boolean {
  return !/^ERR_(?:INVALID_|OUT_OF_RANGE$|MODULE_|PARSE_ARGS_|STREAM_|WORKER_|USE_AFTER_CLOSE$)/.test(code);
}
