import { lacksTcx } from "@loden/bpf/testing";
import { listNetns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLab, type Lab } from "./lab.ts";
import { defaultSettings } from "./lab-settings.ts";
import type { LabHost } from "./lab-host.ts";
import { runChecks } from "./run-checks.ts";

//   switch --- host1 --- c1, c2       (see README.md)
//     `------- host2 --- c1, c2

let lab: Lab;
let host1: LabHost;
let host2: LabHost;
const events: string[] = [];
const signal = new AbortController().signal;

beforeEach(async () => {
  events.length = 0;
  lab = await openLab(defaultSettings, (text) => events.push(text));
  host1 = await lab.addHost();
  host2 = await lab.addHost();
});

afterEach(() => lab.close());

describe("openLab()", () => {
  test("containers of two hosts ping each other, and TCP transfers arrive whole", async () => {
    const said: string[] = [];
    const report = await runChecks(lab, { say: (text) => said.push(text), signal });
    expect(report).toMatchObject({
      ok: true,
      hosts: 2,
      kernelPath: { on: lacksTcx ? 0 : 2, total: 2 },
      pairs: { reachable: 2, total: 2 },
      transfers: { equal: 2, total: 2 },
      datagrams: { ownSource: 2, total: 2 },
    });
    expect(said).toHaveLength(5);
    expect(events.some((text) => /^host1: leased 10\.42\.\d+\.0\/24 for its containers$/.test(text))).toBe(
      true,
    );
  });

  test("a route that somebody deletes comes back, and so do answers", async () => {
    await host1.breakRoute();
    await expect.poll(async () => (await host1.view()).routes).toEqual(["10.42.0.0/16 dev loden0"]);
    await expect.poll(() => lab.ping(host1, host2, 500)).toBeTypeOf("number");
  });

  test("a host that stops is nobody's peer any more, and one that is added is everybody's", async () => {
    const host3 = await lab.addHost();
    await expect.poll(async () => (await host1.view()).peers).toBe(2);
    await expect.poll(() => lab.ping(host1, host3, 500)).toBeTypeOf("number");
    await host3.stop();
    await expect.poll(async () => (await host1.view()).peers).toBe(1);
    expect(await lab.ping(host1, host3, 100)).toBeNull();
    expect((await host3.view()).state).toBe("stopped");
    await expect(lab.transfer(host1, host3, 1000)).rejects.toThrow(/stopped/);
  });

  test("a transfer ends when one of its hosts is stopped", async () => {
    const ended = lab.transfer(host1, host2, 100_000_000_000).then(() => "done", String);
    await expect.poll(async () => (await host2.view()).received.packets).toBeGreaterThan(100);
    await host2.stop();
    expect(await ended).toMatch(/ended/);
  });

  test("with the kernel path off all packets go through the pump, and the report says so", async () => {
    await lab.close();
    lab = await openLab({ ...defaultSettings, kernelPath: "off" }, () => undefined);
    await lab.addHost();
    await lab.addHost();
    expect(await runChecks(lab, { say: () => undefined, signal })).toMatchObject({
      ok: true,
      kernelPath: { on: 0, total: 2, reason: "it is switched off" },
    });
  });

  test("close() leaves no namespace behind", async () => {
    expect(listNetns()).not.toEqual([]);
    await lab.close();
    expect(listNetns()).toEqual([]);
  });
});
