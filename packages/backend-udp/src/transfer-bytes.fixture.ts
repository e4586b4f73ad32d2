// For tests: TCP between processes on two hosts.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { Host } from "./two-hosts.fixture.ts";

/** Sends random bytes over TCP between two processes on the hosts; gives the hash at both ends. */
export async function transferBytes(
  from: Host,
  to: Host,
  bytes: number,
): Promise<{ sent: string; arrived: string }> {
  const server = run(
    to,
    `const hash = require("node:crypto").createHash("sha256");
     const server = require("node:net").createServer((socket) => {
       socket.on("data", (data) => hash.update(data));
       socket.on("end", () => { socket.end(); server.close(); console.log(hash.digest("hex")); });
     }).listen(7100, "${to.inner.toString()}", () => console.log("ready"));`,
  );
  await once(server.stdout, "data");
  const arrived = text(server.stdout);
  const client = run(
    from,
    `const crypto = require("node:crypto");
     const data = crypto.randomBytes(${bytes});
     require("node:net").connect({ host: "${to.inner.toString()}", localAddress: "${from.inner.toString()}", port: 7100 }).end(data);
     console.log(crypto.createHash("sha256").update(data).digest("hex"));`,
  );
  const sent = text(client.stdout);
  return { sent: (await sent).trim(), arrived: (await arrived).trim() };
}

/** Sends so many bytes over TCP in one piece, and nothing more until they are known to have arrived. */
export async function sendOnePiece(from: Host, to: Host, bytes: number): Promise<void> {
  const server = run(
    to,
    `let arrived = 0;
     const server = require("node:net").createServer((socket) => {
       socket.on("data", (data) => { if ((arrived += data.length) === ${bytes}) { socket.end("thanks"); server.close(); } });
     }).listen(7101, "${to.inner.toString()}", () => console.log("ready"));`,
  );
  await once(server.stdout, "data");
  const client = run(
    from,
    `const socket = require("node:net").connect({ host: "${to.inner.toString()}", localAddress: "${from.inner.toString()}", port: 7101 });
     socket.write(Buffer.alloc(${bytes}));
     socket.on("data", (data) => console.log(String(data)));`,
  );
  const answer = (await text(client.stdout)).trim();
  if (answer !== "thanks") throw new Error(`Cannot send one piece: the other end answered "${answer}"`);
}

/** What the kernel counts for the TCP of a host, by the names of `nstat`: `RetransSegs`, `TCPTimeouts`, `TCPLossProbes` and the like. */
export function tcpCounters({ netns }: Host): Record<string, number> {
  const tables = netns.run(() =>
    ["snmp", "netstat"].map((name) => readFileSync(`/proc/thread-self/net/${name}`, "utf8")).join(""),
  );
  const rows = tables.split("\n").filter((row) => /^Tcp(Ext)?:/.test(row));
  const counters: Record<string, number> = {};
  for (let i = 0; i + 1 < rows.length; i += 2) {
    const values = (rows[i + 1] as string).split(" ");
    for (const [column, name] of (rows[i] as string).split(" ").entries())
      if (column > 0) counters[name] = Number(values[column]);
  }
  return counters;
}

function run(host: Host, script: string) {
  return host.netns.run(() =>
    spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] }),
  );
}

/** How many frames, super-packets or not, have gone through the TUN device of a host: from its kernel, and to it. */
export function deviceFrames({ netns, backend }: Host): { outbound: number; inbound: number } {
  const table = netns.run(() => readFileSync("/proc/thread-self/net/dev", "utf8"));
  const line = table.split("\n").find((row) => row.trim().startsWith(`${backend.deviceName}:`)) ?? "";
  // Eight columns of what came in, its bytes and packets first, then the same of what went out.
  const columns = line.replace(/^.*:/, "").trim().split(/\s+/).map(Number);
  const [inbound = 0, outbound = 0] = [columns[1], columns[9]];
  return { outbound, inbound };
}
