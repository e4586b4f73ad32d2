import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExitCode } from "./exit/exit-codes.ts";
import { readSubnetFile, writeSubnetFile } from "./write-subnet-file.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lodend-subnet-file-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("writeSubnetFile()", () => {
  test("makes the folder, and replaces a file that was there", () => {
    const path = join(folder, "run/flannel/subnet.env");
    expect(readSubnetFile(path)).toBeUndefined();
    writeSubnetFile(path, "A=1\n");
    writeSubnetFile(path, "A=2\n");
    expect(readSubnetFile(path)).toBe("A=2\n");
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(readdirSync(join(folder, "run/flannel"))).toEqual(["subnet.env"]);
  });

  test("names file and flag when the folder cannot be made", () => {
    writeFileSync(join(folder, "file"), "not a folder");
    const path = join(folder, "file/deep/subnet.env");
    expect(() => writeSubnetFile(path, "A=1\n")).toThrow(
      expect.objectContaining({
        exitCode: ExitCode.host,
        message: expect.stringMatching(/^Cannot write the subnet file: .*deep\/subnet.env.*--subnet-file$/),
      }),
    );
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("not a folder");
  });

  test("leaves no temporary file when something else is in the place", () => {
    const path = join(folder, "subnet.env");
    mkdirSync(path);
    expect(() => writeSubnetFile(path, "A=1\n")).toThrow(/^Cannot write the subnet file/);
    expect(() => readSubnetFile(path)).toThrow(/^Cannot read the subnet file/);
    expect(readdirSync(folder)).toEqual(["subnet.env"]);
  });
});
