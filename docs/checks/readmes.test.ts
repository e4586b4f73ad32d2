import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exportsOf, parseSource } from "./repository/parse-source.ts";
import { type ReadmeExample, readmeExamples } from "./repository/readme-examples.ts";
import { root } from "./repository/root.ts";
import { entryPoints, listPackages, type Member, read } from "./repository/workspace.ts";
import { namespaceEntry } from "./steps/namespace.ts";

const packages = listPackages();
const secondsPerExample = 60;

test("there are packages", () => {
  expect(packages.length).toBeGreaterThan(0);
});

describe.each(packages)("README of $folder", ({ folder, short, manifest }) => {
  const readme = `${folder}/README.md`;
  const examples = existsSync(join(root, readme)) ? readmeExamples(readme) : [];

  test("has its sections and an example", () => {
    expect(existsSync(join(root, readme)), `${readme} exists`).toBe(true);
    const text = read(readme);
    expect(text).toMatch(new RegExp(`^# ${manifest.name}$`, "m"));
    expect(text).toContain(`npm install ${manifest.name}`);
    const headings = [...text.matchAll(/^##+ +(.+)$/gm)].map((match) => match[1]?.toLowerCase() ?? "");
    for (const wanted of ["where it fits", "exports", "platform"]) {
      expect(
        headings.some((heading) => heading.includes(wanted)),
        `a section "${wanted}"`,
      ).toBe(true);
    }
    expect(examples, "a block with the info string ts").not.toEqual([]);
  });

  test("names everything that can be called", () => {
    const text = read(readme);
    const values = entryPoints({ folder, short, manifest }).flatMap(({ source }) =>
      exportsOf(parseSource(source)).filter(({ isType }) => !isType),
    );
    const isNamed = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(text);
    expect(values.map(({ name }) => name).filter((name) => !isNamed(name))).toEqual([]);
  });

  for (const example of examples) {
    const timeout = (secondsPerExample + 10) * 1_000;
    test(`the example at line ${example.line} runs`, { timeout }, async ({ skip, signal }) => {
      const entry = example.kernel ? await namespaceEntry(signal, example) : { prefix: ["env"] as const };
      const prefix = "prefix" in entry ? entry.prefix : skip(entry.reason);
      expect(await runExample(example, installedBy(readme), prefix)).toEqual({
        code: 0,
        output: expect.any(String),
      });
    });
  }
});

/** The packages that the README tells to install. */
function installedBy(readme: string): readonly Member[] {
  const names = /^ *npm install (.+)$/m.exec(read(readme))?.[1]?.split(" ") ?? [];
  return packages.filter(({ manifest }) => names.includes(manifest.name));
}

// Runs the block as a program of a scratch project that has those packages of the workspace which a reader was told to install.
async function runExample(
  example: ReadmeExample,
  installed: readonly Member[],
  [command, ...words]: readonly [string, ...string[]],
): Promise<{ code: number | null; output: string }> {
  const folder = await mkdtemp(join(tmpdir(), "loden-readme-"));
  try {
    const scope = join(folder, "node_modules/@loden");
    await mkdir(scope, { recursive: true });
    await Promise.all(
      installed.map(({ short, folder: where }) => symlink(join(root, where), join(scope, short))),
    );
    await writeFile(join(folder, "package.json"), '{ "type": "module" }\n');
    const program = join(folder, "example.ts");
    await writeFile(program, example.code);
    const node = [process.execPath, "--conditions=@loden/source", program] as const;
    const args = [...words, ...node];
    // the words of the prefix are relative to the root
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: secondsPerExample * 1_000,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    return { code, output };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
