import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Route, type Rtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openKernelState } from "./open-kernel-state.ts";
import type { StateConflictError } from "./state-errors.ts";

// +-------- host ---------+
// | cni0 10.5.34.1/24     |  the bridge of this host's containers, and the blackhole for their subnet
// +-----------------------+
let host: Netns;
let kernel: Rtnetlink;
const container = parseAddress("10.5.34.7");

beforeEach(async () => {
  host = createNetns();
  kernel = openRtnetlink({ netns: host });
  await kernel.links.add({ name: "cni0", kind: "bridge", addrGenMode: "none", up: true });
});

afterEach(() => {
  kernel.close();
  host.close();
});

function blackhole(metric?: number): Route {
  return { destination: parsePrefix("10.5.34.0/24"), type: "blackhole", metric };
}

async function addBridgeAddress(): Promise<void> {
  await kernel.addresses.add({ link: "cni0", address: parseAddress("10.5.34.1"), prefixLength: 24 });
}

/** Where packets for a container go. */
async function way(): Promise<string> {
  return (
    (await kernel.routes.lookup(container).then(
      (route) => route?.link,
      () => undefined,
    )) ?? "nowhere"
  );
}

describe("a blackhole route for the own subnet", () => {
  test("swallows the containers' packets when it comes before the bridge's route with the same metric", async () => {
    using state = openKernelState({ netns: host, repair: true });
    await state.apply({ routes: [blackhole()] });
    await addBridgeAddress(); // the kernel appends its route, behind ours
    expect(await way()).toBe("nowhere");
  });

  test("is a conflict when it comes after the bridge's route with the same metric", async () => {
    await addBridgeAddress();
    using state = openKernelState({ netns: host });
    const error: unknown = await state.apply({ routes: [blackhole()] }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ failures: [{ error: { code: "ERR_STATE_CONFLICT" } }] });
    const { conflict } = (error as AggregateError).errors[0] as StateConflictError;
    expect(conflict.other).toMatchObject({ route: { link: "cni0", protocol: 2 } });
    expect(await way()).toBe("cni0");
  });

  test("stands beside the bridge's route with a metric of its own, and takes over while the bridge is down", async () => {
    using state = openKernelState({ netns: host, repair: true });
    await state.apply({ routes: [blackhole(1024)] });
    await addBridgeAddress();
    expect(await way()).toBe("cni0");
    await kernel.links.set("cni0", { up: false });
    expect(await way()).toBe("nowhere");
    await kernel.links.set("cni0", { up: true });
    expect(await way()).toBe("cni0");
    expect(await state.apply({ routes: [blackhole(1024)] })).toMatchObject({ added: [], replaced: [] });
  });

  test("stands beside the bridge's IPv6 route by the kernel's defaults: 256 for the bridge's, 1024 for it", async () => {
    using state = openKernelState({ netns: host });
    const destination = parsePrefix("fd05:0:0:34::/64");
    await state.apply({ routes: [{ destination, type: "blackhole" }] });
    const address = parseAddress("fd05:0:0:34::1");
    await kernel.addresses.add({ link: "cni0", address, prefixLength: 64, duplicateDetection: false });
    expect((await kernel.routes.lookup(parseAddress("fd05:0:0:34::7")))?.link).toBe("cni0");
  });
});
