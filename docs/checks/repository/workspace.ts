import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./root.ts";

/** The members of a package.json that the checks read. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly description?: string;
  readonly license?: string;
  readonly keywords?: readonly string[];
  readonly type?: string;
  readonly sideEffects?: boolean;
  readonly files?: readonly string[];
  readonly bin?: Readonly<Record<string, string>>;
  readonly engines?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly publishConfig?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** A workspace member. */
export interface Member {
  /** The folder from the root: `packages/ip`. */
  readonly folder: string;
  /** The folder's own name: `ip`. */
  readonly short: string;
  readonly manifest: Manifest;
}

/** An entry point of a package. */
export interface EntryPoint {
  /** What is imported: `@loden/tun/duplex`. */
  readonly specifier: string;
  /** Its source from the root: `packages/tun/src/duplex.ts`. */
  readonly source: string;
}

/** The packages, by name. */
export function listPackages(): readonly Member[] {
  return listMembers("packages");
}

/** What users can install: the packages, and the examples that are not private. */
export function listPublished(): readonly Member[] {
  return [...listPackages(), ...listExamples().filter(({ manifest }) => manifest.private !== true)];
}

/** The examples, by name. */
export function listExamples(): readonly Member[] {
  return listMembers("examples");
}

function listMembers(parent: string): readonly Member[] {
  const folders = readdirSync(join(root, parent)).filter((short) =>
    existsSync(join(root, parent, short, "package.json")),
  );
  return folders.toSorted().map((short) => {
    const folder = `${parent}/${short}`;
    return { folder, short, manifest: JSON.parse(read(`${folder}/package.json`)) as Manifest };
  });
}

/** The entry points that a package's `exports` names, without package.json itself. */
export function entryPoints({ folder, manifest }: Member): readonly EntryPoint[] {
  return Object.entries(manifest.exports ?? {}).flatMap(([path, target]) => {
    if (typeof target === "string") return [];
    const source = target["@loden/source"] ?? "";
    return [{ specifier: `${manifest.name}${path.slice(1)}`, source: join(folder, source) }];
  });
}

/** Every file that is or could be committed (tracked, or new and not ignored), from the root. */
export function listFiles(): readonly string[] {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const names = execFileSync("git", list, { cwd: root, encoding: "utf8" }).split("\0");
  return [...new Set(names)].filter((name) => name !== "" && existsSync(join(root, name))).toSorted();
}

/** AssemblyScript has the ending of TypeScript, and decorators where TypeScript has none. */
const assemblyScript = "packages/packet/assembly/";

/** The TypeScript sources among the files of the repository, or of one folder. */
export function listSources(folder = ""): readonly string[] {
  return listFiles().filter(
    (name) => name.startsWith(folder) && name.endsWith(".ts") && !name.startsWith(assemblyScript),
  );
}

/** A file's text; `name` counts from the root. */
export function read(name: string): string {
  return readFileSync(join(root, name), "utf8");
}
