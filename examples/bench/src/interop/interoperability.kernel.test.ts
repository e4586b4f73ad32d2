import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Side } from "../dataplane/addresses.ts";
import { checkKernelPath } from "../dataplane/check-kernel-path.ts";
import { emptyHash, moveBytes, moveDatagram, ping } from "./exchange.ts";
import { openPair, type Software, type SoftwarePair } from "./open-pair.ts";

// left (one software) --- veth or wire --- right (another one): whoever speaks flannel's bytes understands the other.

const hasSocat = spawnSync("socat", ["-V"]).status === 0;
if (!hasSocat && process.env["CI"] === "true")
  throw new Error("socat is not installed: apt-get install socat");

interface PairCase extends Readonly<Record<Side, Software>> {
  readonly kernelPath: "auto" | "off";
}

const withLoden: readonly Readonly<Record<Side, Software>>[] = [
  { left: "loden", right: "loden" },
  { left: "loden", right: "classic" },
  ...(hasSocat ? ([{ left: "loden", right: "socat" }] as const) : []),
];
const pairs: readonly PairCase[] = [
  ...(["auto", "off"] as const).flatMap((kernelPath) =>
    withLoden.map((software) => ({ ...software, kernelPath })),
  ),
  { left: "classic", right: "classic", kernelPath: "off" },
];
const directions = [
  ["left", "right"],
  ["right", "left"],
] as const;
const BYTES = 8 * 1024 * 1024;

describe.each(["veth", "wire"] as const)("over a %s", (topology) => {
  describe.each(pairs)("$left and $right, kernel path $kernelPath", ({ kernelPath, ...software }) => {
    let pair: SoftwarePair;

    beforeEach(async () => {
      pair = await openPair(topology, software, { path: "classic", kernelPath });
    });

    afterEach(() => pair[Symbol.asyncDispose]());

    test("openUdpBackend() and any other host exchange pings, TCP and large UDP when both speak flannel's bytes", async () => {
      for (const [from, to] of directions) {
        const [sender, receiver] = [pair.hosts[from], pair.hosts[to]];
        expect(await ping(sender, receiver)).toBe(true);
        const { sent, arrived } = await moveBytes(sender, receiver, BYTES);
        expect(arrived).toBe(sent);
        expect(arrived).not.toBe(emptyHash);
        expect(await moveDatagram(sender, receiver, 9000)).toBe(true);
        expect(await moveDatagram(sender, receiver, 60_000)).toBe(true);
      }
    });

    if (software.left !== "loden") return;
    test("openUdpBackend() has the kernel send bulk where the peer can take what that sends, and else the pump, when the kernel path is switched so", async ({
      skip,
    }) => {
      const { kernelPath: state } = await pair.account("left");
      if (kernelPath === "auto" && !state.on && process.env["CI"] !== "true") skip(state.reason);
      expect(state.on).toBe(kernelPath === "auto");
      if (software.right === "loden" && state.on) {
        const accounts = { left: await pair.account("left"), right: await pair.account("right") };
        expect(checkKernelPath(topology, accounts)).toMatch(/left takes off .*right takes off/);
      }
      const isKernels = state.on && (topology === "wire" || software.right === "loden");
      // Until the way to the peer is known, the pump has all packets.
      if (isKernels) while ((await pumpedDuring(() => ping(pair.hosts.left, pair.hosts.right))) > 0);
      const pumped = await pumpedDuring(() => moveBytes(pair.hosts.left, pair.hosts.right, BYTES));
      // The kernel may say a word to a device's neighbours at any time.
      if (isKernels) expect(pumped).toBeLessThan(BYTES / 1000);
      else expect(pumped).toBeGreaterThan(BYTES);
    });

    /** Bytes of packets that the left host's pump has to send during some traffic. */
    async function pumpedDuring(traffic: () => Promise<unknown>): Promise<number> {
      const { pumped } = await pair.account("left");
      await traffic();
      return (await pair.account("left")).pumped - pumped;
    }
  });
});
