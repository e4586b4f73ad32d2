import { type ClientHttp2Stream, constants, type OutgoingHttpHeaders, sensitiveHeaders } from "node:http2";
import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";
import type {
  EtcdMember,
  EtcdMethod,
  EtcdTls,
  MemberCallOptions,
  MemberWatch,
} from "../transport/etcd-member.ts";
import { Http2Connection } from "./http2-connection.ts";
import { frameMessage } from "./message-frames.ts";
import { readGrpcStream } from "./read-grpc-stream.ts";

/**
 * Opens the connection to one member: gRPC over Node's own HTTP/2. No proxy of the environment has a say.
 *
 * @param endpoint - such as `https://10.0.0.1:2379`
 * @param tls - certificates, for an `https` endpoint
 * @returns the connection
 */
export function openHttp2Member(endpoint: string, tls: EtcdTls = {}): EtcdMember {
  return new Http2Member(endpoint, tls);
}

class Http2Member implements EtcdMember {
  readonly endpoint: string;
  readonly #tls: EtcdTls;
  #connection: Http2Connection | undefined;
  #isClosed = false;

  constructor(endpoint: string, tls: EtcdTls) {
    this.endpoint = endpoint;
    this.#tls = tls;
  }

  async call(
    method: EtcdMethod,
    request: Uint8Array,
    { token, timeoutMs, signal }: MemberCallOptions,
  ): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const headers = { "grpc-timeout": `${Math.max(1, Math.ceil(timeoutMs))}m` };
    const { connection, stream } = this.#begin(method, token, headers);
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        stream.close(constants.NGHTTP2_CANCEL);
        settle();
      };
      const onAbort = (): void => end(() => reject(signal?.reason as Error));
      const timer = setTimeout(() => {
        connection.probe();
        end(() => reject(tooLate(timeoutMs)));
      }, timeoutMs);
      signal?.addEventListener("abort", onAbort, { once: true });
      let answer: Uint8Array | undefined;
      readGrpcStream(stream, {
        onMessage: (message) => (answer ??= message),
        onEnd(failure) {
          end(() => (answer === undefined || failure ? reject(failure ?? noMessage()) : resolve(answer)));
        },
      });
      stream.end(frameMessage(request));
    });
  }

  async openWatch(token: string | undefined): Promise<MemberWatch> {
    return readWatch(this.#begin("Watch/Watch", token, { hasleader: "true" }).stream);
  }

  close(): void {
    this.#isClosed = true;
    this.#connection?.end("the store was closed");
  }

  #begin(
    method: EtcdMethod | "Watch/Watch",
    token: string | undefined,
    more: OutgoingHttpHeaders,
  ): { connection: Http2Connection; stream: ClientHttp2Stream } {
    if (this.#isClosed) throw new EtcdStatusError(GrpcStatus.cancelled, "the store was closed");
    if (this.#connection?.isOpen !== true) this.#connection = new Http2Connection(this.endpoint, this.#tls);
    const connection = this.#connection;
    const headers = {
      ":method": "POST",
      ":path": `/etcdserverpb.${method}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...more,
      ...(token !== undefined && { token }),
      // Never kept in the table that compresses headers.
      [sensitiveHeaders]: ["token"],
    };
    try {
      return { connection, stream: connection.request(headers) };
    } catch (error) {
      throw new EtcdStatusError(GrpcStatus.unavailable, (error as Error).message);
    }
  }
}

/** One message is taken at a time; while nobody reads, the stream is paused and its window fills. */
function readWatch(stream: ClientHttp2Stream): MemberWatch {
  const messages: Uint8Array[] = [];
  let pending: PromiseWithResolvers<Uint8Array> | undefined;
  let ended: EtcdStatusError | undefined;
  const end = (failure: EtcdStatusError): void => {
    ended ??= failure;
    pending?.reject(ended);
    pending = undefined;
  };
  readGrpcStream(stream, {
    onMessage(message) {
      if (pending === undefined) messages.push(message);
      else pending.resolve(message);
      pending = undefined;
      stream.pause();
    },
    onEnd(failure) {
      end(failure ?? new EtcdStatusError(GrpcStatus.unavailable, "the member ended the watch stream"));
    },
  });
  return {
    async next() {
      const message = messages.shift();
      if (message !== undefined) return message;
      if (ended !== undefined) throw ended;
      pending = Promise.withResolvers();
      stream.resume();
      return pending.promise;
    },
    send(message) {
      if (stream.writable) stream.write(frameMessage(message));
    },
    cancel() {
      end(new EtcdStatusError(GrpcStatus.cancelled, "the watch was cancelled"));
      stream.close(constants.NGHTTP2_CANCEL);
      // It closes when nothing is left to read.
      stream.resume();
    },
  };
}

function tooLate(timeoutMs: number): EtcdStatusError {
  return new EtcdStatusError(GrpcStatus.deadlineExceeded, `no answer within ${Math.round(timeoutMs)} ms`);
}

function noMessage(): EtcdStatusError {
  return new EtcdStatusError(GrpcStatus.internal, "the answer has no message");
}
