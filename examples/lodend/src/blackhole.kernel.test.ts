import { parsePrefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { formatRoute, openRtnetlink } from "@loden/rtnetlink";
import { expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { dumpNetns } from "./testing/dump-netns.fixture.ts";
import { LodendFolder } from "./testing/lodend-process.fixture.ts";
import { createTestNetwork } from "./testing/test-host.fixture.ts";

test("lodend --ip-blackhole-route keeps a blackhole route for its subnet, beside the containers' bridge, and cleanup removes it", async () => {
  using network = await createTestNetwork(1);
  const [host] = network.hosts as [Netns];
  const before = await dumpNetns(host);
  using folder = new LodendFolder(host, ["--ip-blackhole-route"], { config: '{"Network":"10.42.0.0/16"}' });
  const lodend = folder.start("run");
  await lodend.says("ready");
  const status = JSON.parse((await askDaemon(folder.controlSocket, "/status")) ?? "") as Status;
  const subnet = parsePrefix(status.subnet ?? "");
  using rtnetlink = openRtnetlink({ netns: host });
  const blackholes = async (): Promise<string[]> =>
    (await rtnetlink.routes.list({ protocol: 76 }))
      .filter(({ type }) => type === "blackhole")
      .map(formatRoute);
  const wanted = [`blackhole ${subnet.toString()} proto 76 metric 2147483647`];
  await expect.poll(blackholes).toEqual(wanted);
  await rtnetlink.links.add({ name: "cni0", kind: "bridge", addrGenMode: "none", up: true });
  await rtnetlink.addresses.add({ link: "cni0", address: subnet.nth(1), prefixLength: subnet.length });
  expect((await rtnetlink.routes.lookup(subnet.nth(2)))?.link).toBe("cni0");
  await rtnetlink.links.delete("cni0");
  expect(await rtnetlink.routes.lookup(subnet.nth(2))).toBeUndefined();
  await rtnetlink.routes.deleteMany(
    (await rtnetlink.routes.list({ protocol: 76 })).filter(({ type }) => type === "blackhole"),
  );
  await expect.poll(blackholes).toEqual(wanted);
  await lodend.stop();
  expect(await blackholes()).toEqual(wanted);
  await folder.run("cleanup");
  expect(await dumpNetns(host)).toEqual(before);
});
