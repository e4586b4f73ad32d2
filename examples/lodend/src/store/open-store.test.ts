import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseFlags } from "../flags/parse-flags.ts";
import { readSettings } from "../flags/read-settings.ts";
import { openStore } from "./open-store.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lodend-store-"));
  writeFileSync(join(folder, "net.json"), '{"Network":"10.1.0.0/16"}');
  writeFileSync(join(folder, "ca.pem"), "no certificate");
});
afterAll(() => rmSync(folder, { recursive: true }));

async function open(...words: readonly string[]) {
  const flags = words.map((word) => word.replace("@", `${folder}/`));
  return await openStore(readSettings(parseFlags(flags, {})));
}

describe("openStore()", () => {
  test("opens the memory store over the file with the configuration", async () => {
    await using store = await open("--store=memory", "--net-config-path=@net.json");
    expect((await store.getNetwork()).ipv4?.network.toString()).toBe("10.1.0.0/16");
  });

  test("opens the etcd store without asking it anything", async () => {
    await using store = await open("--etcd-endpoints=https://127.0.0.1:1", "--etcd-cafile=@ca.pem");
    expect(store.supports.ttl).toBe(true);
  });

  test.each([
    [
      ["--store=memory", "--net-config-path=@none"],
      3,
      /Cannot read --net-config-path: .*none is no readable file/,
    ],
    [
      ["--etcd-cafile=@none"],
      2,
      /Cannot read --etcd-cafile: .*none is no readable file \(ENOENT\), expected one/,
    ],
    [["--etcd-certfile=@none", "--etcd-keyfile=@none"], 2, /Cannot read --etcd-certfile: /],
    [["--etcd-endpoints=nonsense"], 2, /expected a URL such as .*; check --etcd-endpoints/],
    [["--etcd-cafile=@ca.pem"], 2, /tls is given for http endpoints/],
  ] as const)("refuses %j", async (words, exitCode, message) => {
    await expect(open(...words)).rejects.toMatchObject({ exitCode, message: expect.stringMatching(message) });
  });
});
