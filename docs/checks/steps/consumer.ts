import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportsOf, parseSource } from "../repository/parse-source.ts";
import { readmeExamples } from "../repository/readme-examples.ts";
import { root } from "../repository/root.ts";
import { entryPoints, type EntryPoint, type Member, read } from "../repository/workspace.ts";
import { namespaceEntry } from "./namespace.ts";
import { runCommand } from "./run-command.ts";
import { oneCheck, type StepContext, type StepResult, sum } from "./step.ts";

// Everything a strict user would switch on, and the declarations are checked too.
const tsconfig = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    types: ["node"],
    rootDir: "src",
    outDir: "out",
  },
  include: ["src"],
};

/**
 * Installs all tarballs with npm into a project outside the workspace, typechecks there a program that takes every export of every entry point
 * and the READMEs' examples, and runs them on plain Node: what needs no rights on the oldest and on ours, the rest in namespaces on the oldest.
 */
export async function tryConsumer(
  packages: readonly Member[],
  tarballs: ReadonlyMap<string, string>,
  context: StepContext,
): Promise<StepResult> {
  const { signal } = context;
  const folder = await mkdtemp(join(tmpdir(), "loden-consumer-"));
  try {
    const programs = await writeProject(folder, packages, tarballs);
    const install = ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund"] as const;
    const env = { npm_config_loglevel: "error" };
    if (!(await runCommand(install, { signal, cwd: folder, env })).ok) return oneCheck(false);
    const typed = await runCommand(["tsc", "-p", "."], { signal, cwd: folder });
    if (!typed.ok) return oneCheck(false);
    const results = [oneCheck(true)];
    for (const node of plainNodes()) {
      for (const { name } of programs.filter(({ kernel }) => !kernel)) {
        const { ok } = await runCommand([node, join("out", name)], { signal, cwd: folder });
        results.push(oneCheck(ok, `${name} on ${node}`));
      }
    }
    return sum([...results, await runInNamespaces(programs, folder, context)]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runInNamespaces(
  programs: readonly Program[],
  folder: string,
  { signal }: StepContext,
): Promise<StepResult> {
  const [node = process.execPath] = plainNodes();
  const results: StepResult[] = [];
  for (const { name, root: asRoot } of programs.filter(({ kernel }) => kernel)) {
    const entry = await namespaceEntry(signal, { root: asRoot });
    if ("reason" in entry) {
      results.push({
        passed: 0,
        failed: 0,
        skipped: [`the packed README's example ${name}: ${entry.reason}`],
      });
      continue;
    }
    // the words of the prefix are relative to the root
    const { ok } = await runCommand([...entry.prefix, node, join(folder, "out", name)], {
      signal,
      cwd: root,
    });
    results.push(oneCheck(ok, `${name} on ${node}`));
  }
  return sum(results);
}

interface Program {
  /** Its file, as emitted. */
  readonly name: string;
  /** It runs as root in namespaces of its own. */
  readonly kernel: boolean;
  /** Root of a user namespace is not enough. */
  readonly root: boolean;
}

/** Writes the project and returns its programs. */
async function writeProject(
  folder: string,
  packages: readonly Member[],
  tarballs: ReadonlyMap<string, string>,
): Promise<readonly Program[]> {
  const names = [...tarballs.keys()];
  const manifest = {
    name: "consumer",
    private: true,
    type: "module",
    dependencies: Object.fromEntries([...tarballs].map(([name, tarball]) => [name, `file:${tarball}`])),
    // Optional peers are entry points of their own, so whoever takes every export has them.
    devDependencies: { "@types/node": installedVersion("", "@types/node"), ...peersOf(packages) },
    // the packages depend on each other by version; here those versions are the tarballs
    overrides: Object.fromEntries(names.map((name) => [name, `$${name}`])),
  };
  const source = join(folder, "src");
  await mkdir(source);
  await writeFile(join(folder, "package.json"), JSON.stringify(manifest, undefined, 2));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(tsconfig, undefined, 2));

  const entries = packages.flatMap(entryPoints);
  for (const entry of entries) await writeFile(join(source, `${fileName(entry)}.ts`), takeEverything(entry));
  await writeFile(join(source, "every-export.ts"), checkValues(entries));
  const programs: Program[] = [{ name: "every-export.js", kernel: false, root: false }];
  for (const { folder: where, short } of packages) {
    const readme = `${where}/README.md`;
    for (const example of existsSync(join(root, readme)) ? readmeExamples(readme) : []) {
      const name = `readme-${short}-${example.line}`;
      await writeFile(join(source, `${name}.ts`), example.code);
      programs.push({ name: `${name}.js`, kernel: example.kernel, root: example.root });
    }
  }
  return programs;
}

function peersOf(packages: readonly Member[]): Record<string, string> {
  const peers = packages.flatMap(({ folder, manifest }) =>
    Object.keys(manifest.peerDependencies ?? {}).map((name) => [name, installedVersion(`${folder}/`, name)]),
  );
  return Object.fromEntries(peers) as Record<string, string>;
}

// export { parseAddress, type Prefix } from "@loden/ip";
function takeEverything(entry: EntryPoint): string {
  const names = exportsOf(parseSource(entry.source)).map(({ name, isType }) =>
    isType ? `type ${name}` : name,
  );
  return `export { ${names.join(", ")} } from "${entry.specifier}";\n`;
}

// Imports every entry point and asserts that each value is there. Worker programs (./pump) only typecheck: importing one would start it.
function checkValues(entries: readonly EntryPoint[]): string {
  const lines = [`import assert from "node:assert/strict";`];
  const libraries = entries.filter(({ specifier }) => !specifier.endsWith("/pump"));
  for (const [index, entry] of libraries.entries()) {
    const values = exportsOf(parseSource(entry.source)).filter(({ isType }) => !isType);
    lines.push(`import * as module${index} from "./${fileName(entry)}.js";`);
    lines.push(`const names${index}: string[] = ${JSON.stringify(values.map(({ name }) => name))};`);
    lines.push(
      `for (const name of names${index}) assert.notEqual(Reflect.get(module${index}, name), undefined, name);`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function fileName({ specifier }: EntryPoint): string {
  return specifier.replace(/^@loden\//, "entry-").replaceAll("/", "-");
}

// The oldest Node that is supported, where this machine has it, and the one that runs the checks.
function plainNodes(): readonly string[] {
  const oldest = join(root, "docs/node_modules/node22/bin/node");
  return existsSync(oldest) ? [oldest, process.execPath] : [process.execPath];
}

function installedVersion(folder: string, name: string): string {
  const { version } = JSON.parse(read(`${folder}node_modules/${name}/package.json`)) as { version: string };
  return version;
}
