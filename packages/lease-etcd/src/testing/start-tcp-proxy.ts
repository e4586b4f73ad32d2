import { createConnection, createServer, type Server, type Socket } from "node:net";

/** A connection between a client and etcd that a test can disturb. Plain text only. */
export interface TcpProxy extends AsyncDisposable {
  /** URL to give to the client. */
  readonly endpoint: string;
  /** Breaks every connection; new ones are taken. */
  cut(): void;
  /** Breaks every connection and refuses new ones, until `restore`. */
  refuse(): void;
  /** Lets nothing through any more, without a sign, until `restore`. */
  swallow(): void;
  /** Lets everything through again. What was swallowed stays lost: its connections break. */
  restore(): void;
  /**
   * Lets some answers through, and breaks the connection when the next one comes: the server has done what was asked, and
   * the client doesn't learn of it.
   *
   * @param passed - how many answers to let through first
   * @returns when an answer was lost
   */
  loseAnswer(passed: number): Promise<void>;
}

/**
 * Starts a proxy on a free port of 127.0.0.1.
 *
 * @param target - URL of a member
 * @returns the proxy; dispose of it to end it
 */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const proxy = new DisturbedServer(hostname, Number(port));
  return proxy.listen();
}

class DisturbedServer {
  readonly #host: string;
  readonly #port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #mode: "pass" | "refuse" | "swallow" = "pass";
  #losing: { passed: number; done: () => void } | undefined;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#server = createServer((client) => this.#connect(client));
  }

  async listen(): Promise<TcpProxy> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    return {
      endpoint: `http://127.0.0.1:${port}`,
      cut: () => this.#cut(),
      refuse: () => {
        this.#mode = "refuse";
        this.#cut();
      },
      swallow: () => {
        this.#mode = "swallow";
      },
      restore: () => {
        if (this.#mode === "swallow") this.#cut();
        this.#mode = "pass";
      },
      loseAnswer: (passed) =>
        new Promise((done) => {
          this.#losing = { passed, done };
        }),
      [Symbol.asyncDispose]: async () => {
        this.#server.close();
        this.#cut();
      },
    };
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #connect(client: Socket): void {
    if (this.#mode === "refuse") {
      client.destroy();
      return;
    }
    const server = createConnection(this.#port, this.#host);
    const frames = new FrameReader();
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (data) => {
      if (this.#mode === "pass") server.write(data);
    });
    server.on("data", (data) => {
      const answers = frames.read(data);
      if (this.#isLost(answers)) client.destroy();
      else if (this.#mode === "pass") client.write(data);
    });
  }

  #isLost(answers: number): boolean {
    const losing = this.#losing;
    if (losing === undefined || answers === 0) return false;
    losing.passed -= answers;
    if (losing.passed >= 0) return false;
    this.#losing = undefined;
    losing.done();
    return true;
  }
}

const headersFrame = 1;
const endStream = 1;

/** Counts the answers in what a gRPC server sends: each ends with a HEADERS frame that ends its stream (RFC 9113, 4.1). */
class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  read(data: Buffer): number {
    this.#rest = Buffer.concat([this.#rest, data]);
    let answers = 0;
    while (this.#rest.length >= 9) {
      const length = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < length) break;
      if (this.#rest[3] === headersFrame && ((this.#rest[4] ?? 0) & endStream) !== 0) answers += 1;
      this.#rest = this.#rest.subarray(length);
    }
    return answers;
  }
}
