import { afterEach, expect, test } from "vitest";
import { ping } from "../host-sockets.fixture.ts";
import { transferBytes } from "../transfer-bytes.fixture.ts";
import { openTwoHosts, type TwoHosts } from "../two-hosts.fixture.ts";

let hosts: TwoHosts;
afterEach(() => hosts[Symbol.asyncDispose]());

test("first", async () => {
  hosts = await openTwoHosts({ kernelPath: "auto" });
  const { a, b } = hosts;
  console.log(a.backend.kernelPath, a.backend.attributes, b.backend.kernelPath);
  await new Promise((r) => setTimeout(r, 100));
  console.log(await ping(a, b.inner), await ping(b, a.inner));
  const r = await transferBytes(a, b, 50_000_000);
  console.log(await hosts.a.backend.close().catch((e) => e));
  expect(r.sent).toBe(r.arrived);
  console.log(a.backend.stats(), b.backend.stats(), a.backend.wakeups, b.backend.wakeups);
});
