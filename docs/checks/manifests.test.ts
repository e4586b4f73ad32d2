import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "./repository/root.ts";
import { listPackages, listPublished, type Manifest, read } from "./repository/workspace.ts";

const packages = listPublished();

test("there are packages", () => {
  expect(packages.length).toBeGreaterThan(0);
});

describe.each(packages)("package.json of $folder", ({ folder, short, manifest }) => {
  test("says the same as every other", () => {
    expect(manifest).toMatchObject({
      name: `@loden/${short}`,
      license: "Apache-2.0",
      type: "module",
      sideEffects: false,
      files: [
        "dist",
        "src",
        ...(existsSync(join(root, folder, "systemd")) ? ["systemd"] : []),
        "!src/**/*.test.ts",
        "!src/**/*.bench.ts",
        "!src/**/*.fixture.ts",
      ],
      engines: { node: ">=22.12" },
      publishConfig: { access: "public", provenance: true, exports: published(manifest) },
    });
    expect(manifest.private).toBeUndefined();
    expect(manifest.description?.length ?? 0).toBeGreaterThan(20);
  });

  test("says by its keywords what it is about, sorted", () => {
    const { keywords = [] } = manifest;
    expect(keywords).toEqual([...new Set(keywords)].toSorted());
    expect(keywords).toEqual(expect.arrayContaining(["flannel", "overlay-network"]));
    expect(keywords.length).toBeGreaterThan(3);
  });

  test("exports sources inside the workspace and the build outside", () => {
    for (const [path, target] of Object.entries(manifest.exports ?? {})) {
      if (path === "./package.json") continue;
      const name = path === "." ? "index" : path.slice(2);
      expect(target).toEqual({
        "@loden/source": `./src/${name}.ts`,
        types: `./dist/${name}.d.ts`,
        default: `./dist/${name}.js`,
      });
    }
    expect(manifest.exports).toHaveProperty(["."]);
    expect(manifest.exports).toHaveProperty(["./package.json"], "./package.json");
  });

  test("takes versions from the workspace and the catalog", () => {
    const wanted = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies };
    for (const [name, version] of Object.entries(wanted)) {
      expect(`${name} ${version}`).toBe(`${name} ${name.startsWith("@loden/") ? "workspace:^" : "catalog:"}`);
    }
  });
});

test("README.md lists the packages with the descriptions of their manifests", () => {
  const rows = [
    ...read("README.md").matchAll(/^\| \[`(@loden\/[\w-]+)`\]\((.+?)\/README\.md\) \| (.+?) \|$/gm),
  ];
  const listed = rows.map(
    ([, name, folder, text = ""]) => `${name} in ${folder}: ${text.replaceAll("`", "")}`,
  );
  const wanted = listPackages().map(
    ({ folder, manifest }) => `${manifest.name} in ${folder}: ${manifest.description}`,
  );
  expect(listed.toSorted()).toEqual(wanted.toSorted());
});

// What users see: the same entry points without the condition for sources.
function published({ exports = {} }: Manifest): Record<string, unknown> {
  const entries = Object.entries(exports).map(([path, target]) => {
    if (typeof target === "string") return [path, target] as const;
    const { "@loden/source": _, ...rest } = target;
    return [path, rest] as const;
  });
  return Object.fromEntries(entries);
}
