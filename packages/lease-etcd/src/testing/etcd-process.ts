import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** How one member is started. */
export interface EtcdProcessOptions {
  /** The server. */
  readonly program: string;
  /** Its flags. */
  readonly flags: readonly string[];
  /** Where clients connect. */
  readonly endpoint: string;
  /** Where it says over plain HTTP how it is. */
  readonly healthUrl: string;
}

/** One member of a test cluster, which can be stopped, killed and started again. Its data stay. */
export class EtcdProcess {
  /** Where clients connect. */
  readonly endpoint: string;
  /** Where it answers `/health` and `/metrics` over plain HTTP. */
  readonly healthUrl: string;
  readonly #options: EtcdProcessOptions;
  #child: ChildProcess | undefined;
  #said = "";

  /** @param options - how it is started */
  constructor(options: EtcdProcessOptions) {
    this.endpoint = options.endpoint;
    this.healthUrl = options.healthUrl;
    this.#options = options;
  }

  /** Starts it; does not wait until it serves. */
  start(): void {
    const { program, flags } = this.#options;
    // None of the environment's ETCD_* settings.
    const env = { PATH: process.env["PATH"], ETCD_UNSUPPORTED_ARCH: "arm64" };
    const child = spawn(program, flags, { env, stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-4_000);
    });
    child.on("error", (error) => {
      this.#said += error.message;
    });
    this.#child = child;
    const kill = (): void => void child.kill("SIGKILL");
    process.on("exit", kill);
    child.on("exit", () => process.off("exit", kill));
  }

  /** Whether it was started and has ended, by a signal or by itself. */
  get hasEnded(): boolean {
    const child = this.#child;
    return child !== undefined && (child.exitCode !== null || child.signalCode !== null);
  }

  /**
   * Waits until it serves, which takes a majority of the members.
   *
   * @param timeoutMs - how long at most
   */
  async ready(timeoutMs = 20_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (!(await this.#isHealthy())) {
      if (this.#child === undefined || this.hasEnded) throw new Error(`etcd ended: ${this.#said}`);
      if (performance.now() > end)
        throw new Error(`etcd does not serve after ${timeoutMs} ms: ${this.#said}`);
      await sleep(20);
    }
  }

  /**
   * Sends a signal and, unless the process goes on with it, waits for its end.
   *
   * @param signal - such as SIGKILL, SIGSTOP or SIGCONT
   */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") await ended;
  }

  async #isHealthy(): Promise<boolean> {
    try {
      const answer = await fetch(`${this.healthUrl}/health`, { signal: AbortSignal.timeout(2_000) });
      return ((await answer.json()) as { health: string }).health === "true";
    } catch {
      return false;
    }
  }
}
