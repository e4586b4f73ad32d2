import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { root } from "../repository/root.ts";

/** How a command is run and shown. */
export interface CommandOptions {
  readonly signal: AbortSignal;
  /** Default: the root of the repository. */
  readonly cwd?: string;
  /** Added to this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `live` passes the output on as it comes; `failure` prints it when the command fails; `never` leaves it to the caller. */
  readonly show?: "live" | "failure" | "never";
}

/** What a command left behind. */
export interface CommandResult {
  readonly ok: boolean;
  /** Why it is not ok: `exit 1`, `SIGTERM`, `ran out of time`, `not found`. */
  readonly reason: string;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command in a process group of its own, with the workspace's tools first on PATH. When the signal aborts, the whole group is
 * ended, so that nothing outlives its step. Never rejects.
 */
export async function runCommand(
  command: readonly [string, ...string[]],
  options: CommandOptions,
): Promise<CommandResult> {
  const { signal, show = "failure" } = options;
  const [file, ...args] = command;
  const child = spawn(file, args, {
    cwd: options.cwd ?? root,
    env: environment(options.env),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const output: { stdout: Buffer[]; stderr: Buffer[]; both: Buffer[] } = { stdout: [], stderr: [], both: [] };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (chunk: Buffer) => {
      output[stream].push(chunk);
      if (show === "live") process[stream].write(chunk);
      else output.both.push(chunk);
    });
  }
  const stop = (): void => endGroup(child.pid);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const reason = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, killedBy) => resolve(code === 0 ? "" : (killedBy ?? `exit ${code}`)));
  });
  signal.removeEventListener("abort", stop);

  const because = signal.aborted ? `stopped: ${String(signal.reason)}` : reason;
  if (because !== "" && show !== "never") {
    process.stdout.write(Buffer.concat(output.both));
    console.log(`${command.join(" ")}: ${because}`);
  }
  return {
    ok: because === "",
    reason: because,
    stdout: Buffer.concat(output.stdout).toString(),
    stderr: Buffer.concat(output.stderr).toString(),
  };
}

function environment(changes: CommandOptions["env"]): NodeJS.ProcessEnv {
  const path = [join(root, "node_modules/.bin"), process.env["PATH"] ?? ""].join(delimiter);
  return {
    ...process.env,
    PATH: path,
    TURBO_TELEMETRY_DISABLED: "1",
    ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
    ...changes,
  };
}

// SIGTERM first, so that labs and tests can clean up; SIGKILL for what does not listen
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  const send = (kind: NodeJS.Signals): void => {
    try {
      process.kill(-pid, kind);
    } catch {
      // the group is gone
    }
  };
  send("SIGTERM");
  setTimeout(send, 5_000, "SIGKILL").unref();
}
