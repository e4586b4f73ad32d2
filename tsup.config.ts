import { readFileSync } from "node:fs";
import { defineConfig } from "tsup";

// One build for every package: the entries are the sources that package.json exports.
const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
  exports: Record<string, string | { "@loden/source"?: string }>;
};
const entry = Object.values(manifest.exports)
  .map((target) => (typeof target === "string" ? undefined : target["@loden/source"]))
  .filter((source) => source !== undefined);

export default defineConfig({
  entry,
  format: ["esm"],
  dts: false,
  clean: true,
  sourcemap: true,
  target: "node22",
  platform: "node",
  // What Node.js 22 lacks, where a package uses it.
  inject: ["../../disposable-stacks.ts"],
});
