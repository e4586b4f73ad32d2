import { afterEach, expect, test } from "vitest";
import { openTwoHosts, type TwoHosts } from "../two-hosts.fixture.ts";
let hosts: TwoHosts;
afterEach(() => hosts[Symbol.asyncDispose]());
test.each(["whole","finished"] as const)("first", async (carrier) => {
  hosts = await openTwoHosts({ carrier });
  console.log(hosts.a.backend.kernelPath, hosts.b.backend.kernelPath);
});
