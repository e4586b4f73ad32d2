import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultTtlMs } from "./acquire-lease.ts";
import { type LeaseDiagnostic, leaseChannelName } from "./diagnostics.ts";
import { fail, host, type KeepScene, openKeepScene, subnet, typesOf } from "./keep-scene.fixture.ts";

const hourMs = 60 * 60_000;

let scene: KeepScene;
let told: LeaseDiagnostic[];
const listen = (message: unknown): void => {
  const diagnostic = message as LeaseDiagnostic;
  if (diagnostic.type === "held-elsewhere") told.push(diagnostic);
};

beforeEach(async () => {
  scene = await openKeepScene();
  told = [];
  subscribe(leaseChannelName, listen);
});

afterEach(() => {
  unsubscribe(leaseChannelName, listen);
  scene.stop.abort();
});

describe("keepLease() and a second host with the same address", () => {
  test("tells of it when that one takes the lease over, and goes on", async () => {
    const { events } = scene.keep();
    await scene.clock.advance(hourMs);
    scene.fake.put(subnet, host(1), defaultTtlMs);
    await scene.clock.advance(0);
    const reason =
      "somebody else wrote this host's lease with its address 192.0.2.1, expected one host for each address and one program for each host";
    expect(told).toEqual([{ type: "held-elsewhere", subnet: "10.5.1.0/24", reason }]);
    await scene.clock.advance(23 * hourMs);
    expect(typesOf(events)).toEqual(["renewed"]);
    expect(told).toHaveLength(1);
  });

  test("tells of it when that one renews the lease that both keep", async () => {
    scene.keep();
    scene.keep({ marginMs: 2 * hourMs });
    await scene.clock.advance(22 * hourMs);
    expect(told).toHaveLength(1);
  });

  test("says nothing of its own renewals, of one whose answer was lost, of a reservation, and of another owner", async () => {
    scene.keep();
    await scene.clock.advance(24 * hourMs);
    scene.after.set("renew", fail);
    await scene.clock.advance(24 * hourMs);
    scene.after.delete("renew");
    await scene.clock.advance(24 * hourMs);
    scene.fake.put(subnet, host(1));
    await scene.clock.advance(0);
    scene.fake.put(subnet, host(2), hourMs);
    await scene.clock.advance(hourMs);
    expect(told).toEqual([]);
  });
});
