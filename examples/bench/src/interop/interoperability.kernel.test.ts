import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Side } from "../dataplane/addresses.ts";
import { emptyHash, moveBytes, moveDatagram, ping } from "./exchange.ts";
import { openPair, type Pair, type Software } from "./open-pair.ts";

// left (one software) --- veth or wire --- right (another one): whoever speaks flannel's bytes understands the other.

const hasSocat = spawnSync("socat", ["-V"]).status === 0;
if (!hasSocat && process.env["CI"] === "true")
  throw new Error("socat is not installed: apt-get install socat");

const pairs: readonly Readonly<Record<Side, Software>>[] = [
  { left: "loden", right: "loden" },
  { left: "loden", right: "classic" },
  { left: "classic", right: "classic" },
  ...(hasSocat ? ([{ left: "loden", right: "socat" }] as const) : []),
];
const directions = [
  ["left", "right"],
  ["right", "left"],
] as const;

describe.each(["veth", "wire"] as const)("over a %s", (topology) => {
  describe.each(pairs)("$left and $right", (software) => {
    let pair: Pair;

    beforeEach(async () => {
      pair = await openPair(topology, software, "classic");
    });

    afterEach(() => pair[Symbol.asyncDispose]());

    test("openUdpBackend() and any other host exchange pings, TCP and large UDP when both speak flannel's bytes", async () => {
      for (const [from, to] of directions) {
        const [sender, receiver] = [pair.hosts[from], pair.hosts[to]];
        expect(await ping(sender, receiver)).toBe(true);
        const { sent, arrived } = await moveBytes(sender, receiver, 8 * 1024 * 1024);
        expect(arrived).toBe(sent);
        expect(arrived).not.toBe(emptyHash);
        expect(await moveDatagram(sender, receiver, 9000)).toBe(true);
        expect(await moveDatagram(sender, receiver, 60_000)).toBe(true);
      }
    });
  });
});
