import { execFileSync } from "node:child_process";
import { setImmediate } from "node:timers/promises";
import { closeFd, constants, openSocket, setSocketOption } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type IpsecPolicies, watchIpsecPolicies } from "./ipsec-policies.ts";

let netns: Netns;
let policies: IpsecPolicies;
let told: boolean[];

beforeEach(() => {
  netns = createNetns();
  told = [];
  policies = watch();
});
afterEach(() => {
  policies[Symbol.dispose]();
  netns.close();
});

const watch = (): IpsecPolicies => watchIpsecPolicies(netns, (any) => told.push(any));
/** Runs `ip xfrm policy …` in the namespace. */
const ip = (words: string, input = ""): string =>
  netns.run(() =>
    execFileSync("ip", ["xfrm", "policy", ...words.split(" ")], { encoding: "utf8", input, stdio: "pipe" }),
  );

test.each(["out", "fwd", "in"])(
  "watchIpsecPolicies() tells that there are some when a policy for direction %s is added, and none when it is deleted",
  async (direction) => {
    expect(policies.any).toBe(false);
    ip(`add src 192.0.2.1 dst 192.0.2.2 dir ${direction}`);
    await expect.poll(() => told).toEqual([true]);
    expect(policies.any).toBe(true);
    using later = watch();
    expect(later.any).toBe(true);
    ip(`add src 192.0.2.1 dst 192.0.2.3 dir ${direction}`);
    // The loop looks at the sockets once between these two, and there is nothing new to tell.
    await setImmediate();
    await setImmediate();
    ip(`delete src 192.0.2.1 dst 192.0.2.2 dir ${direction}`);
    ip(`delete src 192.0.2.1 dst 192.0.2.3 dir ${direction}`);
    // Each of the two watches.
    await expect.poll(() => told).toEqual([true, false, false]);
    expect([policies.any, later.any]).toEqual([false, false]);
  },
);

test("watchIpsecPolicies() tells that there are none when all are flushed", async () => {
  for (const host of [2, 3, 4]) ip(`add src 192.0.2.1 dst 192.0.2.${host} dir out`);
  await expect.poll(() => told).toEqual([true]);
  ip("flush");
  await expect.poll(() => told).toEqual([true, false]);
});

test("watchIpsecPolicies() tells that there are none when the last one runs out", async () => {
  ip("add src 192.0.2.1 dst 192.0.2.2 dir out");
  await expect.poll(() => told).toEqual([true]);
  ip("add src 192.0.2.1 dst 192.0.2.3 dir out limit time-hard 1");
  ip("delete src 192.0.2.1 dst 192.0.2.2 dir out");
  await expect.poll(() => told).toEqual([true, false]);
  expect(policies.any).toBe(false);
});

test("watchIpsecPolicies() counts a default that blocks", async () => {
  ip("setdefault out block");
  await expect.poll(() => told).toEqual([true]);
  using later = watch();
  expect(later.any).toBe(true);
  ip("setdefault out accept");
  await expect.poll(() => policies.any).toBe(false);
});

test("watchIpsecPolicies() leaves out the policies of single sockets", async () => {
  const socket = netns.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
  try {
    // IP_XFRM_POLICY takes a struct xfrm_userpolicy_info: of family AF_INET, for what is sent, which it lets pass.
    const policy = new Uint8Array(168);
    policy[40] = constants.AF_INET;
    policy[160] = 1;
    setSocketOption(socket, constants.SOL_IP, 17, policy);
    expect(
      netns.run(() => execFileSync("ip", ["-s", "xfrm", "policy", "count"], { encoding: "utf8" })),
    ).toMatch(/OUT 0 FWD 0 \(Sock: IN 0 OUT 1 /);
    using later = watch();
    expect([policies.any, later.any]).toEqual([false, false]);
  } finally {
    closeFd(socket);
  }
});

test("watchIpsecPolicies() knows what is so when more changed than its socket could hold", async () => {
  // The event loop does not turn meanwhile.
  const changes = Array.from(
    { length: 2_000 },
    (_, i) => `xfrm policy add src 192.0.2.1 dst 10.0.${i >> 8}.${i & 255} dir out`,
  );
  const batch = (lines: readonly string[]): void => {
    netns.run(() => execFileSync("ip", ["-batch", "-"], { input: lines.join("\n"), stdio: "pipe" }));
  };
  batch(changes);
  await expect.poll(() => told).toEqual([true]);
  batch([...changes.map((line) => line.replace("add", "delete")), changes[0] as string]);
  batch(["xfrm policy flush"]);
  await expect.poll(() => told).toEqual([true, false]);
});

test("watchIpsecPolicies() tells nothing once it is disposed of, and nothing of another namespace", async () => {
  using other = createNetns();
  const heard: boolean[] = [];
  using watched = watchIpsecPolicies(other, (any) => heard.push(any));
  policies[Symbol.dispose]();
  policies[Symbol.dispose]();
  ip("add src 192.0.2.1 dst 192.0.2.2 dir out");
  using later = watch();
  ip("flush");
  await expect.poll(() => told).toEqual([false]);
  expect([later.any, policies.any, watched.any, heard]).toEqual([false, false, false, []]);
});
