import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeFolder } from "./make-folder.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lodend-folder-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("makeFolder() makes what is missing above it, and leaves alone what is there", () => {
  const path = join(folder, "a/b/c");
  makeFolder(path);
  writeFileSync(join(path, "file"), "stays");
  makeFolder(path);
  expect(statSync(path).isDirectory()).toBe(true);
  expect(statSync(join(path, "file")).size).toBe(5);
});

test.skipIf(process.platform !== "linux")("makeFolder() ends where a file system makes no folders", () => {
  expect(() => makeFolder("/proc/lodend-test/deep")).toThrow(/\/proc\/lodend-test/);
});
