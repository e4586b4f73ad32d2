import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

test.each([
  [["--help"], 0, /^encap-inspect FILE/, /^$/],
  [[], 2, /^$/, /^encap-inspect: Cannot inspect 0 files, expected one: .*\n$/],
  [["--frob"], 2, /^$/, /^encap-inspect: Unknown option '--frob'.*\n$/],
  [["--port", "x", main], 2, /^$/, /^encap-inspect: Cannot read --port: it is "x", expected .*\n$/],
  [["/nowhere.pcap"], 1, /^$/, /^encap-inspect: ENOENT.*\n$/],
  [[main], 1, /^$/, /^encap-inspect: Cannot read the capture: .*\n$/],
])("encap-inspect %j ends with %i and one line", { timeout: 60_000 }, (words, code, output, errors) => {
  const node = ["--conditions=@loden/source", main, ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, node, { encoding: "utf8" });
  expect(stdout).toMatch(output);
  expect(stderr).toMatch(errors);
  expect(status).toBe(code);
});
