import { existsSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import { type Answers, type HttpServer, openHttpServer } from "../health/http-server.ts";
import { makeFolder } from "../make-folder.ts";
import { isRunning, readRecords } from "./run-record.ts";

// An `import` of node:http also loads all that it offers lazily, WebSocket among it, and takes 13 MiB.
const { request } = process.getBuiltinModule("node:http");

/** How long a daemon may take to answer a command. */
const ANSWER_MS = 10_000;

/**
 * Opens the socket by which commands reach this daemon, for its owner alone (0600). One that a dead process left is replaced.
 *
 * @param path where.
 * @param answers by path.
 * @returns the server; disposing of it removes the socket.
 * @throws {LodendError} with the control code when a daemon listens there, naming its process; with the host's where no socket can be made.
 */
export async function openControlSocket(path: string, answers: Answers): Promise<HttpServer> {
  try {
    makeFolder(dirname(path));
  } catch (cause) {
    throw new LodendError(
      ExitCode.host,
      `Cannot make the control socket ${path}: its folder gives "${(cause as Error).message}", expected one that is there or can be made; ` +
        "mend that, or name another --control-socket",
      { cause },
    );
  }
  if (existsSync(path)) {
    if (await isListening(path)) throw runsAlready(path);
    rmSync(path, { force: true });
  }
  return await openHttpServer({ path }, answers);
}

/**
 * Asks the daemon that listens at a socket.
 *
 * @param socketPath the socket.
 * @param path what to ask for, e.g. `/status`.
 * @returns its answer; `undefined` when none listens.
 * @throws {LodendError} with the control code when the daemon does not answer.
 * @throws {Error} `EACCES` when the socket is another user's.
 */
export async function askDaemon(socketPath: string, path: string): Promise<string | undefined> {
  return await new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, agent: false, timeout: ANSWER_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    asking.on("timeout", () =>
      asking.destroy(
        new LodendError(
          ExitCode.control,
          `Cannot ask the daemon at ${socketPath}: it does not answer, expected one that runs`,
        ),
      ),
    );
    asking.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(undefined);
      else reject(error);
    });
    asking.end();
  });
}

async function isListening(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function runsAlready(path: string): LodendError {
  const record = readRecords(path).find(
    (candidate) => candidate.controlSocket === path && isRunning(candidate),
  );
  const who = record === undefined ? "another lodend" : `another lodend (process ${record.pid})`;
  return new LodendError(
    ExitCode.control,
    `Cannot listen at ${path}: ${who} does, expected none; stop it, or give this one another --name`,
  );
}
