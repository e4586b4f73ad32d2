import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Netns } from "@loden/netns";
import { endWithTests, eventually } from "./lodend-process.fixture.ts";

/** Debian's etcd-server and etcd-client, found on the PATH. */
const [server, client] = ["etcd", "etcdctl"] as const;

/** A real etcd that a test started inside a namespace. */
export class EtcdInNetns implements AsyncDisposable {
  /** Where hosts reach it. */
  readonly endpoint: string;
  readonly #netns: Netns;
  readonly #folder: string = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "loden-etcd-"));
  #child: ChildProcess | undefined;

  /** @param address of the namespace, that hosts reach. */
  constructor(netns: Netns, address: string) {
    this.#netns = netns;
    this.endpoint = `http://${address}:2379`;
  }

  /** Starts it, also again with its data, and waits until it serves. */
  async start(): Promise<void> {
    const peer = "http://127.0.0.1:2380";
    const flags = {
      name: "test",
      "data-dir": `${this.#folder}/data`,
      "unsafe-no-fsync": "true",
      "log-level": "error",
      "listen-client-urls": this.endpoint,
      "advertise-client-urls": this.endpoint,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `test=${peer}`,
    };
    const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const env = { PATH: process.env["PATH"], ETCD_UNSUPPORTED_ARCH: "arm64" };
    const child = this.#netns.run(() => spawn(server, words, { env, stdio: "ignore" }));
    endWithTests(child);
    this.#child = child;
    await eventually("etcd serves", () => this.#control(["endpoint", "health"]).status === 0);
  }

  /** Ends it at once; its data stay. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** Runs `etcdctl` as an independent client; gives what it prints. */
  ctl(...words: readonly string[]): string {
    const { status, stdout, stderr } = this.#control(words);
    if (status !== 0) throw new Error(`etcdctl ${words.join(" ")}: ${stderr}`);
    return stdout.trim();
  }

  #control(words: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    const env = { PATH: process.env["PATH"], ETCDCTL_API: "3" };
    const flags = [`--endpoints=${this.endpoint}`, ...words];
    return this.#netns.run(() => spawnSync(client, flags, { env, encoding: "utf8" }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
