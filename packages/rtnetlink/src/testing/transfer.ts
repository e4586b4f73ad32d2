import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";

const receiverScript = `
  const hash = require("node:crypto").createHash("sha256");
  const server = require("node:net").createServer((socket) => {
    socket.on("data", (chunk) => hash.update(chunk)).on("end", () => { console.log(hash.digest("hex")); server.close(); socket.end(); });
  }).listen({ host: process.argv[1], port: 0 }, () => console.log(server.address().port));`;
const senderScript = `
  const { createHash, randomBytes } = require("node:crypto");
  const data = randomBytes(Number(process.argv[3]));
  console.log(createHash("sha256").update(data).digest("hex"));
  require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]) }).end(data);`;

/**
 * Moves random bytes over TCP between two namespaces; both ends are processes of their own, because sockets of Node.js don't open where their caller is.
 *
 * @param from the sender.
 * @param to the receiver, and the address of it that is meant.
 * @param bytes how many. Default 4 MiB.
 * @returns the SHA-256 of what was sent and of what arrived.
 */
export async function transfer(
  from: { readonly netns: Netns },
  to: { readonly netns: Netns; readonly address: Address },
  bytes: number = 4 * 1024 * 1024,
): Promise<{ readonly sent: string; readonly arrived: string }> {
  await using children = new AsyncDisposableStack();
  const start = (netns: Netns, script: string, ...words: string[]): AsyncIterator<string> => {
    const child = netns.run(() =>
      spawn(process.execPath, ["-e", script, ...words], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    children.defer(() => end(child));
    return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  };
  const line = async (lines: AsyncIterator<string>): Promise<string> => String((await lines.next()).value);
  const address = to.address.toString();
  const receiver = start(to.netns, receiverScript, address);
  const sender = start(from.netns, senderScript, address, await line(receiver), String(bytes));
  return { sent: await line(sender), arrived: await line(receiver) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
