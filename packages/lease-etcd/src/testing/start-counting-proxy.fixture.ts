import { createConnection, createServer, type Socket } from "node:net";

/** A connection between a client and etcd that counts what passes. Plain text only. */
export interface CountingProxy extends AsyncDisposable {
  /** URL to give to the client. */
  readonly endpoint: string;
  /** How many bytes clients got so far, HTTP/2 and all. */
  readonly receivedBytes: number;
}

/**
 * Starts a counting proxy on a free port of 127.0.0.1.
 *
 * @param target - URL of a member
 * @returns the proxy; dispose of it to end it and its connections
 */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let receivedBytes = 0;
  const server = createServer((client) => {
    const member = createConnection(Number(port), hostname);
    member.on("data", (data) => {
      receivedBytes += data.length;
    });
    for (const [socket, other] of [
      [client, member],
      [member, client],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    endpoint: `http://127.0.0.1:${typeof address === "object" ? address?.port : undefined}`,
    get receivedBytes() {
      return receivedBytes;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
