import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { EtcdMember } from "../transport/etcd-member.ts";
import { startTcpProxy } from "../testing.ts";
import { frameMessage } from "./message-frames.ts";
import { openHttp2Member } from "./open-http2-member.ts";

type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

const ok = { ":status": 200, "content-type": "application/grpc" };
const request = Buffer.from("request");
const options = { token: undefined, timeoutMs: 10_000 };
let open = new AsyncDisposableStack();

afterEach(async () => {
  await open.disposeAsync();
  open = new AsyncDisposableStack();
});

/** A member whose server answers every request by a function. */
async function memberOf(handle: Handler): Promise<EtcdMember & { connections: number }> {
  const server = createServer();
  server.on("stream", handle).on("sessionError", () => {});
  let connections = 0;
  server.on("connection", () => (connections += 1));
  const member = await memberAt(server);
  return Object.defineProperty(member, "connections", { get: () => connections }) as typeof member & {
    connections: number;
  };
}

async function memberAt(server: Server | ReturnType<typeof createServer>): Promise<EtcdMember> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => void sockets.add(socket.on("error", () => {})));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const member = openHttp2Member(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  open.defer(() => {
    member.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return member;
}

/** Answers with messages and then a status. */
function answer(
  stream: ServerHttp2Stream,
  trailers: Record<string, string>,
  ...messages: Uint8Array[]
): void {
  stream.on("error", () => {});
  stream.respond(ok, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  for (const message of messages) stream.write(message);
  stream.end();
}

describe("call()", () => {
  test("sends the message and returns the answer, over one connection", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const member = await memberOf((stream, headers) => {
      seen.push(headers);
      stream.once("data", (data: Buffer) => answer(stream, { "grpc-status": "0" }, data));
    });
    await expect(member.call("KV/Range", request, options)).resolves.toEqual(request);
    await expect(member.call("KV/Txn", request, { ...options, token: "secret.1" })).resolves.toEqual(request);
    expect(seen[0]).toMatchObject({
      ":method": "POST",
      ":path": "/etcdserverpb.KV/Range",
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": "10000m",
    });
    expect(seen[0]).not.toHaveProperty("token");
    expect(seen[1]).toMatchObject({ ":path": "/etcdserverpb.KV/Txn", token: "secret.1" });
    expect(member.connections).toBe(1);
  });

  test("returns an answer of several megabytes", async () => {
    const large = Buffer.alloc(6 * 1024 * 1024, "x");
    const member = await memberOf((stream) => answer(stream, { "grpc-status": "0" }, frameMessage(large)));
    const received = await member.call("KV/Range", request, options);
    expect(Buffer.compare(received, large)).toBe(0);
  });

  test.each<{ when: string; handle: Handler; error: object }>([
    {
      when: "the status at the end is not 0",
      handle: (stream) => answer(stream, { "grpc-status": "5", "grpc-message": "not found: %E2%82%AC" }),
      error: { status: 5, details: "not found: €" },
    },
    {
      when: "the status comes instead of an answer",
      handle: (stream) =>
        stream.respond({ ...ok, "grpc-status": "16", "grpc-message": "50% of it" }, { endStream: true }),
      error: { status: 16, details: "50% of it" },
    },
    {
      when: "a proxy answers",
      handle: (stream) => stream.respond({ ":status": 503 }, { endStream: true }),
      error: { status: 14, details: "the answer has HTTP status 503, expected 200" },
    },
    {
      when: "the stream is refused",
      handle: (stream) => stream.on("error", () => {}).close(7),
      error: { status: 14 },
    },
    {
      when: "the answer has no message",
      handle: (stream) => answer(stream, { "grpc-status": "0" }),
      error: { status: 13, details: "the answer has no message" },
    },
    {
      when: "the answer ends inside a message",
      handle: (stream) => answer(stream, { "grpc-status": "0" }, Buffer.of(0, 0, 0, 0, 9, 1)),
      error: { status: 13, details: "the stream ended inside a message" },
    },
    {
      when: "the answer is compressed",
      handle: (stream) => answer(stream, { "grpc-status": "0" }, Buffer.of(1, 0, 0, 0, 1, 1)),
      error: { status: 13, details: "the member sent a compressed message" },
    },
    {
      when: "the connection breaks",
      handle: (stream) => stream.session?.destroy(),
      error: { status: 14 },
    },
  ])("rejects with EtcdStatusError when $when", async ({ handle, error }) => {
    const member = await memberOf(handle);
    await expect(member.call("KV/Range", request, options)).rejects.toMatchObject({
      code: "ERR_STORE_REQUEST",
      ...error,
    });
  });

  test("rejects with the reason of the system when nobody listens", async () => {
    await expect(
      openHttp2Member("http://127.0.0.1:1").call("KV/Range", request, options),
    ).rejects.toMatchObject({
      status: 14,
      details: "connect ECONNREFUSED 127.0.0.1:1",
    });
  });

  test("rejects when its time is over, and tells the member", async () => {
    const reset = Promise.withResolvers<number>();
    const member = await memberOf((stream) => {
      stream.on("error", () => {}).on("close", () => reset.resolve(stream.rstCode ?? 0));
    });
    await expect(member.call("KV/Range", request, { ...options, timeoutMs: 50 })).rejects.toMatchObject({
      status: 4,
      details: "no answer within 50 ms",
    });
    // CANCEL
    await expect(reset.promise).resolves.toBe(8);
  });

  test("rejects with signal.reason when the signal aborts, before or during the call", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    const member = await memberOf((stream) => {
      stream.on("error", () => {});
      stop.abort(reason);
    });
    const abortable = { ...options, signal: stop.signal };
    await expect(member.call("KV/Range", request, abortable)).rejects.toBe(reason);
    await expect(member.call("KV/Range", request, abortable)).rejects.toBe(reason);
  });

  test("connects again after the connection was lost", async () => {
    let isFirst = true;
    const member = await memberOf((stream) => {
      if (isFirst) stream.session?.destroy();
      else answer(stream, { "grpc-status": "0" }, frameMessage(request));
      isFirst = false;
    });
    await expect(member.call("KV/Range", request, options)).rejects.toMatchObject({ status: 14 });
    await expect(member.call("KV/Range", request, options)).resolves.toEqual(request);
    expect(member.connections).toBe(2);
  });

  test("rejects when the member takes the connection and does not greet", async () => {
    const member = await memberAt(createTcpServer());
    await expect(member.call("KV/Range", request, options)).rejects.toMatchObject({
      status: 14,
      details: "no HTTP/2 greeting within 2000 ms",
    });
  });

  test("rejects when the member hangs: it does not answer a ping after a call that got no answer", async () => {
    const silent = await memberOf((stream) => void stream.on("error", () => {}));
    const proxy = open.use(await startTcpProxy(silent.endpoint));
    const member = openHttp2Member(proxy.endpoint);
    open.defer(() => member.close());
    await expect(member.call("KV/Range", request, { ...options, timeoutMs: 50 })).rejects.toMatchObject({
      status: 4,
    });
    // As of a stopped process: the kernel still takes what comes.
    proxy.swallow();
    await expect(member.call("KV/Range", request, options)).rejects.toMatchObject({
      status: 14,
      details: "no answer to a ping within 2000 ms",
    });
  });

  test("rejects when it was closed", async () => {
    const member = await memberOf((stream) => void stream.on("error", () => {}));
    const pending = member.call("KV/Range", request, options);
    member.close();
    await expect(pending).rejects.toMatchObject({ details: "the store was closed" });
    await expect(member.call("KV/Range", request, options)).rejects.toMatchObject({ status: 1 });
  });
});

describe("openWatch()", () => {
  test("sends and receives messages one by one, and asks for a member with a leader", async () => {
    const headers = Promise.withResolvers<IncomingHttpHeaders>();
    const member = await memberOf((stream, seen) => {
      headers.resolve(seen);
      stream.respond(ok);
      stream.on("data", (data: Buffer) => stream.write(Buffer.concat([data, data])));
    });
    const watch = await member.openWatch("token");
    watch.send(request);
    await expect(watch.next()).resolves.toEqual(request);
    await expect(watch.next()).resolves.toEqual(request);
    expect(await headers.promise).toMatchObject({
      ":path": "/etcdserverpb.Watch/Watch",
      hasleader: "true",
      token: "token",
    });
    watch.cancel();
    await expect(watch.next()).rejects.toMatchObject({ status: 1 });
  });

  test("a pending next() rejects when it is cancelled, and next() when the member ends the stream", async () => {
    const member = await memberOf((stream) => {
      stream.on("error", () => {});
      stream.once("data", () =>
        answer(stream, { "grpc-status": "14", "grpc-message": "no leader" }, frameMessage(request)),
      );
    });
    const cancelled = await member.openWatch(undefined);
    const pending = cancelled.next();
    cancelled.cancel();
    await expect(pending).rejects.toMatchObject({ status: 1, details: "the watch was cancelled" });
    const ended = await member.openWatch(undefined);
    ended.send(request);
    await expect(ended.next()).resolves.toEqual(request);
    await expect(ended.next()).rejects.toMatchObject({ status: 14, details: "no leader" });
  });

  test("a slow reader slows the member down", async () => {
    const chunk = frameMessage(Buffer.alloc(64 * 1024));
    const most = 1_024;
    let sent = 0;
    const blocked = Promise.withResolvers<void>();
    const member = await memberOf((stream) => {
      stream.on("error", () => {}).respond(ok);
      const fill = (): void => {
        while (sent < most) {
          sent += 1;
          if (!stream.write(chunk)) break;
        }
        if (sent === 2 * most) stream.end();
      };
      stream.on("drain", fill).on("data", fill);
      // The window of 4 MiB, what Node buffers, and no more of the 64 MiB.
      setTimeout(() => blocked.resolve(), 500);
    });
    const watch = await member.openWatch(undefined);
    watch.send(request);
    await watch.next();
    await blocked.promise;
    expect(sent).toBeLessThan(most / 4);
    for (let read = 1; read < most; read += 1) await watch.next();
    expect(sent).toBe(most);
    watch.cancel();
  });
});
