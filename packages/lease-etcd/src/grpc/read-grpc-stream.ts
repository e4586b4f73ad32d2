import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";
import { MessageFrames } from "./message-frames.ts";

/** Who is told what comes through a stream. */
export interface GrpcStreamReader {
  /** Takes a message. Pausing the stream keeps back what has not come yet. */
  readonly onMessage: (message: Uint8Array) => void;
  /** Called once, last: the stream ended well, or why it did not. */
  readonly onEnd: (failure: EtcdStatusError | undefined) => void;
}

/**
 * Reads the messages of a gRPC stream, and the status at its end.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * @param stream - of a request that was just made
 * @param reader - who is told
 */
export function readGrpcStream(stream: ClientHttp2Stream, { onMessage, onEnd }: GrpcStreamReader): void {
  const frames = new MessageFrames();
  let headers: IncomingHttpHeaders = {};
  let malformed: EtcdStatusError | undefined;
  let lost: EtcdStatusError | undefined;
  stream.on("response", (first) => (headers = { ...first }));
  stream.on("trailers", (last) => (headers = { ...headers, ...last }));
  stream.on("data", (piece: Uint8Array) => {
    try {
      for (const message of frames.push(piece)) onMessage(message);
    } catch (error) {
      malformed ??= error as EtcdStatusError;
      stream.close(constants.NGHTTP2_CANCEL);
    }
  });
  // A member that has said all ends the stream, whatever we had to say.
  stream.on("end", () => stream.end());
  stream.on("error", (error) => (lost = new EtcdStatusError(GrpcStatus.unavailable, reasonOf(error))));
  stream.on("close", () => {
    const { "grpc-status": status = "none" } = headers;
    if (malformed !== undefined) onEnd(malformed);
    else if (status === "0") onEnd(frames.isInside ? cutShort() : undefined);
    else if (status === "none") onEnd(statusOfHttp(headers) ?? lost ?? endedWithout(stream.rstCode));
    else
      onEnd(
        new EtcdStatusError(numberOf(String(status)), percentDecoded(String(headers["grpc-message"] ?? ""))),
      );
  });
}

/** A connection that is lost takes its streams along; the error of a stream then has the reason as its cause. */
function reasonOf(error: Error): string {
  const { cause = error } = error;
  const [first = cause] = cause instanceof AggregateError ? (cause.errors as unknown[]) : [cause];
  return (first as Error).message;
}

function numberOf(status: string): number {
  return /^\d{1,3}$/.test(status) ? Number(status) : GrpcStatus.unknown;
}

/** The message is percent-encoded UTF-8; what is no such thing is given as it is. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a proxy means that answers in the member's place. */
function statusOfHttp({ ":status": status }: IncomingHttpHeaders): EtcdStatusError | undefined {
  const number = Number(status ?? 200);
  if (number === 200) return undefined;
  const details = `the answer has HTTP status ${number}, expected 200`;
  return new EtcdStatusError(statuses.get(number) ?? GrpcStatus.unknown, details);
}

// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
const statuses: ReadonlyMap<number, number> = new Map([
  [400, GrpcStatus.internal],
  [401, GrpcStatus.unauthenticated],
  [403, GrpcStatus.permissionDenied],
  [429, GrpcStatus.unavailable],
  [502, GrpcStatus.unavailable],
  [503, GrpcStatus.unavailable],
  [504, GrpcStatus.unavailable],
]);

function cutShort(): EtcdStatusError {
  return new EtcdStatusError(GrpcStatus.internal, "the stream ended inside a message");
}

function endedWithout(code: number | undefined): EtcdStatusError {
  const details = `the stream ended with HTTP/2 code ${code ?? 0} and no gRPC status`;
  return new EtcdStatusError(GrpcStatus.unavailable, details);
}
