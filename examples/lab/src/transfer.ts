import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import type { TransferEnd } from "./transfer-end.ts";

/** What came of a transfer. */
export interface TransferResult {
  readonly bytes: number;
  /** From the first byte to the last, at the receiver. */
  readonly seconds: number;
  /** Whether bytes and checksum are the same at both ends. */
  readonly equal: boolean;
}

/** Where a transfer starts and ends. */
export interface TransferOptions {
  readonly from: Netns;
  readonly to: { readonly netns: Netns; readonly address: Address };
  readonly bytes: number;
  /** Ends both ends at once; the call then rejects. */
  readonly signal: AbortSignal;
}

/**
 * Moves bytes over TCP from one namespace to another and compares their checksum at the far end.
 *
 * Both ends are processes of their own: a socket that Node opens later than in the same breath would not be in the namespace.
 *
 * @param options the ends and the size.
 * @returns what came of it.
 * @throws {Error} when an end fails or is ended.
 */
export async function transfer(options: TransferOptions): Promise<TransferResult> {
  const { from, to, bytes, signal } = options;
  signal.throwIfAborted();
  const address = to.address.toString();
  const receiver = startEnd(to.netns, ["receive", address]);
  const ends = [receiver];
  const kill = (): void => ends.forEach((end) => end.kill());
  signal.addEventListener("abort", kill);
  try {
    const { port } = (await receiver.line()) as { port: number };
    const sender = startEnd(from, ["send", address, String(port), String(bytes)]);
    ends.push(sender);
    const [sent, received] = (await Promise.all([sender.line(), receiver.line()])) as [
      TransferEnd,
      TransferEnd,
    ];
    return {
      bytes: received.bytes,
      seconds: received.seconds,
      equal: sent.bytes === bytes && received.bytes === bytes && sent.checksum === received.checksum,
    };
  } finally {
    signal.removeEventListener("abort", kill);
    await Promise.all(ends.map((end) => end.ended()));
  }
}

interface End {
  /** The next JSON line that it prints. */
  line(): Promise<unknown>;
  kill(): void;
  /** Ends it, if it still runs, and waits until it is gone. */
  ended(): Promise<void>;
}

function startEnd(netns: Netns, args: readonly string[]): End {
  const script = fileURLToPath(import.meta.resolve("./transfer-end.ts"));
  const child = netns.run(() =>
    spawn(process.execPath, [script, ...args], { stdio: ["pipe", "pipe", "pipe"] }),
  );
  const gone = new Promise<void>((resolve) =>
    child.once("close", () => resolve()).once("error", () => resolve()),
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaint = "";
  child.stderr.on("data", (chunk) => (complaint += chunk));
  return {
    async line() {
      const { value, done } = await lines.next();
      if (done === true)
        throw new Error(
          `Cannot move bytes over TCP: "${args.join(" ")}" ended: ${whyEnded(child, complaint)}`,
        );
      return JSON.parse(value);
    },
    kill: () => void child.kill("SIGKILL"),
    async ended() {
      child.stdin.end();
      await gone;
    },
  };
}

function whyEnded(child: ChildProcess, complaint: string): string {
  return complaint.trim() || `exit code ${child.exitCode ?? child.signalCode ?? "unknown"} without a word`;
}
