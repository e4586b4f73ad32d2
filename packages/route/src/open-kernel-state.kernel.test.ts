import { parseAddress } from "@loden/ip";
import { expect, test } from "vitest";
import { applyState } from "./apply-state.ts";
import { chaosState, createChaosHost, listed } from "./chaos-host.fixture.ts";
import type { StateChanges } from "./kernel-state.ts";
import { openKernelState } from "./open-kernel-state.ts";

test("apply() makes the devices of a VXLAN host and what each peer needs, and does nothing again", async () => {
  using host = await createChaosHost();
  using state = openKernelState({ netns: host.netns, links: ["loden.1", "loden-v6.1"] });
  const one = chaosState([{ number: 1 }]);
  expect(counts(await state.apply(one))).toEqual([12, 0, 0]);
  // The lines of flannel.md, section 7, and one direct route of each family.
  expect((await listed(state)).filter((text) => !text.startsWith("link"))).toEqual([
    "address 10.5.34.0/32 dev loden.1",
    "address fd05:0:0:34::/128 dev loden-v6.1 nodad",
    "fdb 02:00:00:00:24:01 dev loden.1 dst 192.0.2.11 self permanent",
    "fdb 02:00:00:00:64:01 dev loden-v6.1 dst 2001:db8::11 self permanent",
    "neighbour 10.5.1.0 lladdr 02:00:00:00:24:01 dev loden.1 nud permanent",
    "neighbour fd05:0:0:1:: lladdr 02:00:00:00:64:01 dev loden-v6.1 nud permanent",
    "route 10.5.1.0/24 via 10.5.1.0 dev loden.1 proto 76 onlink",
    "route 10.5.101.0/24 via 192.0.2.11 dev eth0 proto 76",
    "route fd05:0:0:101::/64 via 2001:db8::11 dev eth0 proto 76 metric 1024",
    "route fd05:0:0:1::/64 via fd05:0:0:1:: dev loden-v6.1 proto 76 metric 1024 onlink",
  ]);
  expect(counts(await state.apply(one))).toEqual([0, 0, 0]);
  expect(counts(await state.apply(chaosState([{ number: 1 }, { number: 2 }])))).toEqual([8, 0, 0]);
  expect(counts(await state.apply(chaosState([{ number: 1, device: 2 }])))).toEqual([0, 4, 8]);
});

test("apply() does all but what is malformed, wherever it stands, says so of each, and goes on repairing", async () => {
  using host = await createChaosHost();
  using state = openKernelState({ netns: host.netns, links: ["loden.1", "loden-v6.1"], repair: true });
  const good = chaosState([{ number: 1 }]);
  const events = state.watch();
  await state.apply(good);
  const before = await listed(state);
  const link = "loden.1";
  const neighbour = { link, address: parseAddress("10.5.9.0"), mac: "02:00:00:00:09" };
  const entry = { link, mac: "2:0:0:0:0:9", destination: parseAddress("192.0.2.9") };
  await state.clear();
  for (const desired of [
    { ...good, neighbours: [neighbour, ...(good.neighbours ?? [])], fdb: [entry, ...(good.fdb ?? [])] },
    { ...good, neighbours: [...(good.neighbours ?? []), neighbour], fdb: [...(good.fdb ?? []), entry] },
  ]) {
    expect(await applyState(state, desired)).toMatchObject([
      {
        object: { neighbour },
        error: { message: expect.stringContaining('"02:00:00:00:09", expected six') },
      },
      { object: { entry }, error: { message: expect.stringContaining('"2:0:0:0:0:9", expected six') } },
    ]);
    expect(await listed(state)).toEqual(before);
  }
  const [route] = await host.kernel.routes.list({ protocol: 76 });
  await host.kernel.routes.delete(route!);
  for await (const event of events) if (event.type === "repaired" && event.object.type === "route") break;
  expect(await listed(state)).toEqual(before);
});

function counts({ added, replaced, removed }: StateChanges): number[] {
  return [added.length, replaced.length, removed.length];
}
