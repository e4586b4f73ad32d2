import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { importsOf, parseSource } from "./repository/parse-source.ts";
import { entryPoints, listPublished, listSources, type Member } from "./repository/workspace.ts";

const published = listPublished();

test("there is something to publish", () => {
  expect(published.length).toBeGreaterThan(0);
});

describe.each(published)("the tarball of $folder", (member) => {
  test("has no source that no entry point leads to: what only tests use is a fixture", () => {
    const reached = sourcesReached(member);
    const packed = listSources(`${member.folder}/src/`).filter(
      (file) => !/\.(?:test|bench|fixture)\.ts$/.test(file),
    );
    expect(packed.filter((file) => !reached.has(file))).toEqual([]);
  });
});

function sourcesReached(member: Member): ReadonlySet<string> {
  const waiting = entryPoints(member).map(({ source }) => source);
  for (const program of Object.values(member.manifest.bin ?? {}))
    waiting.push(join(member.folder, program.replace(/^\.\/dist\/(.*)\.js$/, "src/$1.ts")));
  const reached = new Set<string>();
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    const folder = dirname(file);
    waiting.push(...filesNamedBy(file).map((name) => join(folder, name)));
  }
  return reached;
}

/** The files of its own package that a source imports, or starts as a worker. */
function filesNamedBy(file: string): string[] {
  const source = parseSource(file);
  const workers = [...source.text.matchAll(/new URL\("([^"]+\.ts)", import\.meta\.url\)/g)];
  const named = [...importsOf(source), ...workers.map(([, name = ""]) => `./${name}`)];
  return named.filter((name) => name.startsWith(".") && name.endsWith(".ts"));
}
