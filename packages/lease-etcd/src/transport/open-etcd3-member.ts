import { Etcd3, type IOptions } from "etcd3";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";
import type { EtcdMember, EtcdMethod, EtcdTls, MemberCallOptions, MemberWatch } from "./etcd-member.ts";

/**
 * Opens the connection to one member through etcd3, of which only the gRPC channel is used: its watcher loses events, its
 * lease object learns late of a loss, and its errors carry no status.
 *
 * @param endpoint - such as `https://10.0.0.1:2379`
 * @param tls - certificates, for an `https` endpoint
 * @returns the connection, for `openMember` of `openEtcdLeaseStore`
 */
export function openEtcd3Member(endpoint: string, tls: EtcdTls = {}): EtcdMember {
  return new Etcd3Member(endpoint, tls);
}

const channelOptions: NonNullable<IOptions["grpcOptions"]> = {
  // etcd ends a connection that pings more often than every 5 s, or pings without a call.
  "grpc.keepalive_time_ms": 6_000,
  "grpc.keepalive_timeout_ms": 2_000,
  "grpc.keepalive_permit_without_calls": 0,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
  "grpc.enable_retries": 0,
  // The members are named; neither a proxy of the environment nor a DNS TXT record has a say.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
};

// Node 26 refuses an address as the name of a TLS server, which is what grpc-js gives it. With this in its place, which
// no certificate has (RFC 2606), the certificate has to be compared with the address here, or nothing passes.
const noServerName = "address.invalid";

class Etcd3Member implements EtcdMember {
  readonly endpoint: string;
  readonly #client: RawEtcd3;
  readonly #calls = new Set<{ cancel(): void }>();

  constructor(endpoint: string, { ca, cert, key }: EtcdTls) {
    this.endpoint = endpoint;
    const plain: IOptions = {
      hosts: [endpoint],
      grpcOptions: channelOptions,
      faultHandling: { host: () => passThrough, global: passThrough },
    };
    if (endpoint.startsWith("https:")) {
      const pem = { rootCertificate: toBuffer(ca), privateKey: toBuffer(key), certChain: toBuffer(cert) };
      const credentials = pem as NonNullable<IOptions["credentials"]>;
      const address = addressIn(endpoint);
      const named = address === undefined ? {} : { "grpc.ssl_target_name_override": noServerName };
      this.#client = new RawEtcd3({ ...plain, credentials, grpcOptions: { ...channelOptions, ...named } });
      if (address !== undefined) this.#client.expectAddress(address);
    } else {
      this.#client = new RawEtcd3(plain);
    }
  }

  async call(
    method: EtcdMethod,
    request: Uint8Array,
    { token, timeoutMs, signal }: MemberCallOptions,
  ): Promise<Uint8Array> {
    const { client, metadata } = await this.#client.connect();
    signal?.throwIfAborted();
    if (token !== undefined) metadata.set("token", token);
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        pathOf(method),
        toBytes,
        fromBytes,
        request,
        metadata,
        { deadline: Date.now() + timeoutMs },
        (error, answer) => {
          this.#calls.delete(call);
          signal?.removeEventListener("abort", cancel);
          if (answer !== undefined) resolve(answer);
          else reject(signal?.aborted === true ? (signal.reason as Error) : statusError(error));
        },
      );
      const cancel = (): void => call.cancel();
      this.#calls.add(call);
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  async openWatch(token: string | undefined): Promise<MemberWatch> {
    const { client, metadata } = await this.#client.connect();
    if (token !== undefined) metadata.set("token", token);
    metadata.set("hasleader", "true");
    const stream = client.makeBidiStreamRequest(pathOf("Watch/Watch"), toBytes, fromBytes, metadata);
    this.#calls.add(stream);
    stream.on("close", () => this.#calls.delete(stream));
    // Whoever reads gets the error; without a reader nobody wants it.
    stream.on("error", () => {});
    const messages = stream[Symbol.asyncIterator]();
    return {
      async next() {
        try {
          const result = await messages.next();
          if (result.done !== true) return result.value;
        } catch (error) {
          throw statusError(error as GrpcError);
        }
        throw new EtcdStatusError(GrpcStatus.unavailable, "the member ended the watch stream");
      },
      send: (message) => {
        stream.write(message);
      },
      cancel: () => stream.cancel(),
    };
  }

  close(): void {
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }
}

/** Gives away what etcd3 keeps to itself: the gRPC client below its own, and how it checks certificates. */
class RawEtcd3 extends Etcd3 {
  expectAddress(address: string): void {
    const { hosts } = this.pool as unknown as { hosts: { channelCredentials: SslCredentials }[] };
    for (const { channelCredentials } of hosts) {
      channelCredentials.verifyOptions.checkServerIdentity = (_, cert) => checkServerIdentity(address, cert);
    }
  }

  connect(): Promise<{ client: GrpcClient; metadata: Metadata }> {
    return this.pool.withConnection("KV", ({ client, metadata }) => ({
      client: client as unknown as GrpcClient,
      metadata: metadata.clone(),
    }));
  }
}

interface SslCredentials {
  readonly verifyOptions: { checkServerIdentity?: typeof checkServerIdentity };
}

interface Metadata {
  set(key: string, value: string): void;
}

interface GrpcError {
  readonly code?: number;
  readonly details?: string;
  readonly message: string;
}

/** A client of @grpc/grpc-js, whatever service it was made for. */
interface GrpcClient {
  makeUnaryRequest(
    path: string,
    serialize: (message: Uint8Array) => Buffer,
    deserialize: (bytes: Buffer) => Uint8Array,
    request: Uint8Array,
    metadata: Metadata,
    options: { deadline: number },
    done: (error: GrpcError | null, answer: Uint8Array | undefined) => void,
  ): { cancel(): void };
  makeBidiStreamRequest(
    path: string,
    serialize: (message: Uint8Array) => Buffer,
    deserialize: (bytes: Buffer) => Uint8Array,
    metadata: Metadata,
  ): AsyncIterable<Uint8Array> & {
    on(event: "close" | "error", listener: () => void): unknown;
    write(message: Uint8Array): unknown;
    cancel(): void;
  };
}

function pathOf(method: string): string {
  return `/etcdserverpb.${method}`;
}

function toBytes(message: Uint8Array): Buffer {
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength);
}

function fromBytes(bytes: Buffer): Uint8Array {
  return bytes;
}

// etcd3 wants policies for faults; ours are elsewhere, so these only pass calls through.
const passThrough = {
  execute: async <Result>(run: (context: { signal: AbortSignal }) => Result | PromiseLike<Result>) =>
    run({ signal: neverAborted }),
  onSuccess: () => ({ dispose: () => {} }),
  onFailure: () => ({ dispose: () => {} }),
} as unknown as NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

const neverAborted = new AbortController().signal;

function addressIn(endpoint: string): string | undefined {
  const host = new URL(endpoint).hostname.replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? undefined : host;
}

// `null` where etcd3 passes it on to Node: "not given".
function toBuffer(pem: string | Uint8Array | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem as Uint8Array);
}

function statusError(error: GrpcError | null): EtcdStatusError {
  const { code = GrpcStatus.unknown, details, message = "no answer" } = error ?? {};
  return new EtcdStatusError(code, details ?? message);
}
