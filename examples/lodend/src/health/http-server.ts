import type { RequestListener, Server } from "node:http";
import { once } from "node:events";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";

// An `import` of node:http also loads all that it offers lazily, WebSocket among it, and takes 13 MiB.
const { createServer } = process.getBuiltinModule("node:http");

/** What a path answers: its status code and text, made when it is asked for. */
export type Answers = Readonly<Record<string, () => Answer | Promise<Answer>>>;

/** Status code, media type and text. */
export type Answer = readonly [status: number, type: string, text: string];

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  /** The port; 0 for a path. */
  readonly port: number;
}

/**
 * Serves answers over HTTP until it is disposed of.
 *
 * @param where an address and a port (0: any free one), or the path of a socket that only its owner may use.
 * @param answers by path.
 * @returns the server, listening.
 * @throws {LodendError} with the host code, naming what is taken.
 */
export async function openHttpServer(
  where: { readonly ip: string; readonly port: number } | { readonly path: string },
  answers: Answers,
): Promise<HttpServer> {
  const server = createServer(handler(answers));
  const name = "path" in where ? where.path : `${where.ip}:${where.port}`;
  try {
    await listen(server, where);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === "EADDRINUSE" ? "another program has it" : message;
    throw new LodendError(ExitCode.host, `Cannot listen at ${name}: ${why}, expected a free place`, {
      cause,
    });
  }
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(
  server: Server,
  where: { readonly ip: string; readonly port: number } | { readonly path: string },
): Promise<void> {
  const listening = once(server, "listening");
  if ("path" in where) {
    // The socket is made within the call, and nobody may find it open for all in between.
    const mask = process.umask(0o177);
    try {
      server.listen(where.path);
    } finally {
      process.umask(mask);
    }
  } else server.listen(where.port, where.ip);
  await listening;
}

function handler(answers: Answers): RequestListener {
  return (request, response) => {
    const path = (request.url ?? "/").replace(/[?#].*/s, "");
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    void answerOf(request.method, answer).then(([status, type, text]) => {
      response.writeHead(status, { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store" });
      response.end(request.method === "HEAD" ? undefined : text);
    });
  };
}

async function answerOf(method: string | undefined, answer: Answers[string] | undefined): Promise<Answer> {
  if (answer === undefined) return [404, "text/plain", "there is nothing here\n"];
  if (method !== "GET" && method !== "HEAD") return [405, "text/plain", "only GET\n"];
  try {
    return await answer();
  } catch (error) {
    return [500, "text/plain", `${(error as Error).message}\n`];
  }
}
