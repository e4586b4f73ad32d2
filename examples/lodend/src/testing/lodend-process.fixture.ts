import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Netns } from "@loden/netns";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
const root = fileURLToPath(new URL("../../../../", import.meta.url));

/** A `lodend` that a test started. */
export class LodendProcess {
  readonly child: ChildProcess;
  /** What it wrote so far. */
  output = "";
  readonly #ended: Promise<unknown>;

  constructor(child: ChildProcess) {
    this.child = child;
    this.#ended = once(child, "close");
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    endWithTests(child);
  }

  /** Its log lines of one message, as far as they are whole. */
  lines(message: string): Record<string, unknown>[] {
    return this.output
      .split("\n")
      .slice(0, -1)
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line["message"] === message);
  }

  /** Waits until it has said something. */
  async says(message: string, count = 1): Promise<Record<string, unknown>> {
    await eventually(`lodend says "${message}"`, () => {
      if (this.child.exitCode !== null) throw new Error(`lodend ended: ${this.output}`);
      return this.lines(message).length >= count;
    });
    return this.lines(message).at(-1) as Record<string, unknown>;
  }

  /** Waits for its end; gives its code, `null` after a signal. */
  async ended(): Promise<number | null> {
    await this.#ended;
    return this.child.exitCode;
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    this.child.kill(signal);
    return await this.ended();
  }
}

const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** Makes sure that a child does not outlive the tests. */
export function endWithTests(child: ChildProcess): void {
  children.add(child);
  child.on("exit", () => children.delete(child));
}

/** A folder with the files of one daemon, and the way to start it. */
export class LodendFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "lodend-test-"));
  readonly subnetFile: string = join(this.path, "subnet.env");
  readonly controlSocket: string;
  readonly #netns: Netns;
  readonly #flags: readonly string[];
  readonly #started: LodendProcess[] = [];

  /** @param flags every command gets; `config`: for the memory store. */
  constructor(netns: Netns, flags: readonly string[], options: { config?: string; name?: string } = {}) {
    const { config, name = "loden" } = options;
    this.controlSocket = join(this.path, `${name}.sock`);
    const netConfig = join(this.path, "net.json");
    if (config !== undefined) writeFileSync(netConfig, config);
    const store = config === undefined ? [] : ["--store=memory", "--net-config-path", netConfig];
    this.#netns = netns;
    this.#flags = [
      "--name",
      name,
      "--control-socket",
      this.controlSocket,
      "--subnet-file",
      this.subnetFile,
      ...store,
      ...flags,
    ];
  }

  start(command: string, flags: readonly string[] = [], options: StartOptions = {}): LodendProcess {
    const { wrapper = [], environment = {} } = options;
    const node = [process.execPath, "--conditions=@loden/source", main];
    const [program = "", ...words] = [...wrapper, ...node, command, ...this.#flags, ...flags];
    // Nothing of the environment of whoever runs the tests.
    const env = { PATH: process.env["PATH"], ...environment };
    const child = this.#netns.run(() =>
      spawn(program, words, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] }),
    );
    const started = new LodendProcess(child);
    this.#started.push(started);
    return started;
  }

  /** Runs a command to its end. */
  async run(
    command: string,
    flags: readonly string[] = [],
    options: StartOptions = {},
  ): Promise<{ code: number | null; output: string }> {
    const started = this.start(command, flags, options);
    return { code: await started.ended(), output: started.output };
  }

  /** The text of `subnet.env`. */
  subnetEnv(): string {
    return readFileSync(this.subnetFile, "utf8");
  }

  [Symbol.dispose](): void {
    for (const { child } of this.#started) child.kill("SIGKILL");
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** How a test starts the daemon. */
export interface StartOptions {
  /** A command that starts it, such as `setpriv …`. */
  readonly wrapper?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Waits until something is so; an error of `check` counts as "not yet" until the time is over. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await check()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`Waited in vain until ${what}`, { cause: last });
    await sleep(20);
  }
}
