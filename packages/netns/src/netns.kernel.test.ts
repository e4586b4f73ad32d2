import { spawnSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { createNetns, currentNetns, deleteNetns, listNetns, openNetns } from "./index.ts";

const own = (): string => readlinkSync("/proc/thread-self/ns/net");

describe("createNetns()", () => {
  test("createNetns() makes an anonymous namespace and leaves the thread where it was", () => {
    const before = own();
    using netns = createNetns();
    expect(netns.name).toBeUndefined();
    expect(netns.run(own)).not.toBe(before);
    expect(own()).toBe(before);
  });

  test("createNetns() makes a named one that openNetns() and listNetns() find until deleteNetns()", () => {
    using created = createNetns({ name: "loden-test" });
    expect(listNetns()).toContain("loden-test");
    using opened = openNetns("loden-test");
    expect(opened.run(own)).toBe(created.run(own));
    expect(() => createNetns({ name: "loden-test" })).toThrow(/EEXIST/);
    deleteNetns("loden-test");
    deleteNetns("loden-test");
    expect(listNetns()).not.toContain("loden-test");
    expect(() => openNetns("loden-test")).toThrow(/ENOENT/);
  });

  test("createNetns() refuses a name with a slash", () => {
    expect(() => createNetns({ name: "../x" })).toThrow(RangeError);
  });
});

describe("Netns.run()", () => {
  test("run() starts children inside the namespace", () => {
    using netns = createNetns();
    const child = netns.run(() => spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" }));
    expect(child.stdout.trim()).toBe(netns.run(own));
  });

  test("run() comes back when the function throws", () => {
    const before = own();
    using netns = createNetns();
    expect(() =>
      netns.run(() => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(own()).toBe(before);
  });

  test("run() nests", () => {
    using a = createNetns();
    using b = createNetns();
    const [inner, outer] = a.run(() => [b.run(own), own()]);
    expect(inner).toBe(b.run(own));
    expect(outer).toBe(a.run(own));
  });

  test("run() answers a promise with a TypeError", () => {
    using netns = createNetns();
    expect(() => netns.run(async () => 1)).toThrow(TypeError);
  });

  test("run() refuses a closed namespace", () => {
    const netns = createNetns();
    netns.close();
    netns.close();
    expect(() => netns.run(own)).toThrow(/closed/);
  });

  test("run() in a worker moves the worker's thread alone", async () => {
    const before = own();
    const source = `
      const { parentPort } = require("node:worker_threads");
      import(${JSON.stringify(import.meta.resolve("./index.ts"))}).then(({ createNetns, currentNetns }) => {
        const { readlinkSync } = require("node:fs");
        const own = () => readlinkSync("/proc/thread-self/ns/net");
        const netns = createNetns();
        parentPort.postMessage([own(), netns.run(own), own()]);
      });`;
    const worker = new Worker(source, { eval: true });
    const [start, inside, after] = await new Promise<string[]>((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
    });
    await worker.terminate();
    expect(start).toBe(before);
    expect(after).toBe(before);
    expect(inside).not.toBe(before);
  });
});

describe("Netns.setSysctl()", () => {
  test("setSysctl() sets a sysctl of that namespace alone", () => {
    const here = readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8");
    using netns = createNetns();
    netns.setSysctl("net/ipv4/ip_forward", 1);
    expect(netns.getSysctl("net/ipv4/ip_forward")).toBe("1");
    netns.setSysctl("net/ipv4/ip_forward", 0);
    expect(netns.getSysctl("net/ipv4/ip_forward")).toBe("0");
    expect(readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8")).toBe(here);
  });

  test("setSysctl() refuses what does not belong to a network namespace", () => {
    using netns = createNetns();
    expect(() => netns.setSysctl("kernel/panic", 1)).toThrow(RangeError);
    expect(() => netns.setSysctl("net/../kernel/panic", 1)).toThrow(RangeError);
  });
});

test("currentNetns() opens the thread's own namespace", () => {
  using netns = currentNetns();
  expect(netns.run(own)).toBe(own());
});
