import { expect, test } from "vitest";
import { layerOf, pointsDown } from "./repository/layers.ts";
import { importsOf, parseSource } from "./repository/parse-source.ts";
import { listExamples, listPackages, listSources, type Member } from "./repository/workspace.ts";

const packages = listPackages();
const examples = listExamples();

// Each technology enters through one package.
const soleImporters = [
  { module: "koffi", importer: "linux" },
  { module: "ipaddr.js", importer: "ip" },
  { module: "etcd3", importer: "lease-etcd" },
];

test("the workspace has packages and examples", () => {
  expect(packages.length).toBeGreaterThan(0);
  expect(examples.length).toBeGreaterThan(0);
});

test.each(packages)("$folder stands in a layer of the architecture", ({ short }) => {
  expect(layerOf(short), `add ${short} to docs/checks/repository/layers.ts`).toBeDefined();
});

test.each(packages)("arrows from $folder point down", (member) => {
  const wrong = importsByFile(member)
    .flatMap(([file, specifier]) => {
      const target = internal(specifier);
      return target === undefined || isAllowed(member, file, target, specifier)
        ? []
        : [`${file}: ${specifier}`];
    })
    .concat(
      declared(member)
        .filter((name) => isUpward(member, name))
        .map((name) => `package.json: ${name}`),
    );
  expect(wrong).toEqual([]);
});

test.each([...packages, ...examples])("$folder declares what it imports", (member) => {
  const { manifest } = member;
  const shipped = {
    ...manifest.dependencies,
    ...manifest.peerDependencies,
    ...manifest.optionalDependencies,
  };
  const undeclared = importsByFile(member).filter(([file, specifier]) => {
    const name = packageName(specifier);
    if (name === undefined || name === manifest.name || name in shipped) return false;
    return !(
      isTest(file) &&
      (name in { ...manifest.devDependencies } || ["vitest", "fast-check"].includes(name))
    );
  });
  expect(undeclared.map(([file, specifier]) => `${file}: ${specifier}`)).toEqual([]);
});

test.each([...packages, ...examples])("relative imports in $folder stay inside it", (member) => {
  const leaving = importsByFile(member).filter(([file, specifier]) => {
    if (!specifier.startsWith(".")) return false;
    const target = new URL(specifier, `file:///${file}`).pathname.slice(1);
    return !target.startsWith(`${member.folder}/`);
  });
  expect(leaving.map(([file, specifier]) => `${file}: ${specifier}`)).toEqual([]);
});

test.each(soleImporters)("only $importer imports $module", ({ module, importer }) => {
  const importing = packages
    .concat(examples)
    .filter(
      (member) =>
        declared(member).includes(module) ||
        importsByFile(member).some(([, specifier]) => packageName(specifier) === module),
    )
    .map(({ short }) => short);
  const expected = packages.some(({ short }) => short === importer) ? [importer] : [];
  expect(importing).toEqual(expected);
});

function isAllowed(from: Member, file: string, target: string, specifier: string): boolean {
  if (target === from.short || pointsDown(from.short, target)) return true;
  return isTest(file) && specifier.endsWith("/testing");
}

function isUpward(from: Member, name: string): boolean {
  const target = internal(name);
  if (target === undefined || pointsDown(from.short, target)) return false;
  // a development dependency may be there for its ./testing
  return !(name in { ...from.manifest.devDependencies });
}

function importsByFile({ folder }: Member): readonly (readonly [file: string, specifier: string])[] {
  return listSources(`${folder}/src/`).flatMap((file) =>
    importsOf(parseSource(file)).map((specifier) => [file, specifier] as const),
  );
}

function declared({ manifest }: Member): readonly string[] {
  const { dependencies, devDependencies, peerDependencies, optionalDependencies } = manifest;
  return Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies, ...optionalDependencies });
}

function internal(specifier: string): string | undefined {
  return /^@loden\/([^/]+)/.exec(specifier)?.[1];
}

function packageName(specifier: string): string | undefined {
  if (/^(?:\.|node:|file:|data:)/.test(specifier)) return undefined;
  return /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0];
}

function isTest(file: string): boolean {
  return /\.(?:test|bench|fixture)\.ts$/.test(file);
}
