import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Address } from "@loden/ip";
import { encodeSocketAddress, sendTo } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { openUdpBackend } from "./index.ts";
import { ping, plainUdpSocket, udpSocket, type TestSocket } from "./host-sockets.fixture.ts";
import { network, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

// A thousand stops: nine hundred backends in one process, and a hundred processes, most of them with packets under way.

const BACKENDS = 900;
const PROCESSES_PER_HOST = 50;
const EARLY_PROCESSES = 3;

let hosts: TwoHosts;
let a: Host;
let b: Host;
/** Keeps what V8 makes of the sources, for pumps and processes to start sooner. */
let cache: string;

beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "loden-stopping-"));
});

afterAll(() => rmSync(cache, { recursive: true }));

beforeEach(async () => {
  hosts = await openTwoHosts();
  ({ a, b } = hosts);
});

afterEach(() => hosts[Symbol.asyncDispose]());

describe("openUdpBackend() stops", () => {
  test("closing never hangs, with packets under way or without", { timeout: 600_000 }, async () => {
    await a.backend.close();
    using outside = plainUdpSocket(b.netns, b.underlay, 9000);
    using inside = udpSocket(a, 9000);
    const held = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < BACKENDS; i++) {
      const backend = openUdpBackend({
        netns: a.netns,
        underlay: { link: "eth0", mtu: 1500, ipv4: a.underlay },
        workerUrl: cachingPump(cache),
      });
      await backend.join({ lease: a.lease, network });
      await backend.apply([b.lease]);
      if (i % 3 === 0) expect(await ping({ ...a, backend }, b.inner)).toBe(true);
      else if (i % 3 === 1) fill(inside, b.inner, 7000);
      const traffic = i % 3 === 1 ? setInterval(fill, 1, outside, a.underlay, 8285) : undefined;
      await backend.close();
      clearInterval(traffic);
    }
    // What runs the tests may have a file open for a moment.
    await expect.poll(() => readdirSync("/proc/self/fd").length).toBe(held);
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect((await rtnetlink.links.list()).map((link) => link.name).toSorted()).toEqual(["eth0", "lo"]);
  });

  test("a process that ends while packets move ends cleanly", { timeout: 300_000 }, async () => {
    await Promise.all([a.backend.close(), b.backend.close()]);
    const endings = { exit: 7, throw: 1, kill: "SIGTERM", close: 0 } as const;
    const ways = Object.keys(endings) as (keyof typeof endings)[];
    await Promise.all(
      [a, b].map(async (host) => {
        for (let i = 0; i < PROCESSES_PER_HOST; i++) {
          const way = ways[i % ways.length] ?? "exit";
          const { ended, errors } = await endProcess(host, way);
          expect({ way, ended }).toEqual({ way, ended: endings[way] });
          if (way !== "throw") expect(errors).toBe("");
        }
      }),
    );
  });
});

test("a process that ends before it hears that its pump moves packets ends cleanly", async () => {
  await a.backend.close();
  using outside = plainUdpSocket(b.netns, b.underlay, 9000);
  for (let i = 0; i < EARLY_PROCESSES; i++) {
    const folder = mkdtempSync(join(cache, "early-"));
    const ending = endProcess(a, folder, deafProgram);
    await expect.poll(() => existsSync(join(folder, "watching"))).toBe(true);
    const traffic = setInterval(fill, 1, outside, a.underlay, 8285);
    // Traffic for fifty turns, so that the pump is at work.
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    writeFileSync(join(folder, "end"), "");
    const { ended, errors } = await ending;
    clearInterval(traffic);
    expect({ ended, errors }).toEqual({ ended: 7, errors: "" });
  }
});

/** Gives a pump something to do. */
function fill({ fd }: TestSocket, address: Address, port: number): void {
  const to = encodeSocketAddress(address.toBytes(), port);
  for (let packet = 0; packet < 50; packet++) sendTo(fd, new Uint8Array(100), to);
}

/** A host's whole backend as a process of its own, which ends in the given way once a thousand packets have come. */
const program = `
  import { createSocket } from "node:dgram";
  import { openUdpBackend } from "@loden/backend-udp";
  import { parseAddress, parsePrefix } from "@loden/ip";
  import { parseNetworkConfig } from "@loden/subnet";
  const [way, address, subnet] = process.argv.slice(1);
  const backend = openUdpBackend({ underlay: { link: "eth0", mtu: 1500, ipv4: parseAddress(address) } });
  const lease = { subnet: { ipv4: parsePrefix(subnet) }, attributes: backend.attributes, revision: "1" };
  await backend.join({ lease, network: parseNetworkConfig('{"Network":"10.5.0.0/16"}') });
  const socket = createSocket("udp4");
  const flood = () => {
    // The socket's own garbage keeps the pump busy until the very end.
    for (let i = 0; i < 10; i++) socket.send("x", 8285, address);
    if (backend.stats().inbound.dropped.tooShort < 1000) return setImmediate(flood);
    if (way === "exit") process.exit(7);
    if (way === "throw") throw new Error("on purpose");
    if (way === "kill") process.kill(process.pid, "SIGTERM");
    setImmediate(flood);
    if (way === "close") void backend.close().then(() => process.exit(0));
  };
  flood();`;

/** One that hears nothing from its pump, since it does not come back to its event loop; ends when the file `end` is there. */
const deafProgram = `
  import { existsSync } from "node:fs";
  import { openUdpBackend } from "@loden/backend-udp";
  import { parseAddress, parsePrefix } from "@loden/ip";
  import { parseNetworkConfig } from "@loden/subnet";
  const [folder, address, subnet] = process.argv.slice(1);
  const source = \`
    import { writeFileSync } from "node:fs";
    writeFileSync(\${JSON.stringify(folder + "/begun")}, "");
    await import(\${JSON.stringify(import.meta.resolve("@loden/backend-udp/pump"))});
    writeFileSync(\${JSON.stringify(folder + "/watching")}, "");\`;
  const workerUrl = new URL("data:text/javascript," + encodeURIComponent(source));
  const underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress(address) };
  const backend = openUdpBackend({ underlay, workerUrl });
  const lease = { subnet: { ipv4: parsePrefix(subnet) }, attributes: backend.attributes, revision: "1" };
  void backend.join({ lease, network: parseNetworkConfig('{"Network":"10.5.0.0/16"}') });
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const look = () => {
    if (!existsSync(folder + "/begun")) return setImmediate(look);
    while (!existsSync(folder + "/end")) Atomics.wait(cell, 0, 0, 1);
    process.exit(7);
  };
  look();`;

async function endProcess(
  { netns, underlay, lease }: Host,
  argument: string,
  source: string = program,
): Promise<{ ended: number | string | null; errors: string }> {
  const words = [argument, underlay.toString(), lease.subnet.ipv4?.toString() ?? ""];
  const child = netns.run(() =>
    spawn(process.execPath, ["--conditions=@loden/source", "--input-type=module", "-e", source, ...words], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ["ignore", "ignore", "pipe"],
    }),
  );
  const ended = new Promise<number | string | null>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  const errors = await text(child.stderr);
  return { ended: await ended, errors };
}

/** The pump's module, from the cache. */
function cachingPump(folder: string): URL {
  const source = `
    import { enableCompileCache } from "node:module";
    enableCompileCache(${JSON.stringify(folder)});
    await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}
