/** PEM texts that prove who is who. */
export interface EtcdTls {
  /** Certificates of the authorities to trust, instead of those that the system trusts. */
  readonly ca?: string | Uint8Array | undefined;
  /** This client's certificate, with `key`. */
  readonly cert?: string | Uint8Array | undefined;
  /** The private key of `cert`. */
  readonly key?: string | Uint8Array | undefined;
}

/** The unary methods of etcd that are called. */
export type EtcdMethod =
  | "KV/Range"
  | "KV/Txn"
  | "Lease/LeaseGrant"
  | "Lease/LeaseRevoke"
  | "Lease/LeaseTimeToLive"
  | "Auth/Authenticate";

/** Options of one call to one member. */
export interface MemberCallOptions {
  /** From the Auth service, where the cluster wants one. */
  readonly token: string | undefined;
  /** How long it may take, in milliseconds; the server learns of it too. */
  readonly timeoutMs: number;
  /** Gives up; the call then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** A raw stream of watch messages. */
export interface MemberWatch {
  /** Reads the next message; one read at a time. A slow reader slows the server down. */
  next(): Promise<Uint8Array>;
  /** Sends a message. */
  send(message: Uint8Array): void;
  /** Ends it; a pending read rejects. A second call changes nothing. */
  cancel(): void;
}

/**
 * The connection to one member of a cluster, as thin as can be: it moves protobuf messages and retries nothing. It connects
 * at the first call. Everything rejects with EtcdStatusError.
 */
export interface EtcdMember {
  /** Such as `https://10.0.0.1:2379`. */
  readonly endpoint: string;
  /** Calls a unary method. */
  call(method: EtcdMethod, request: Uint8Array, options: MemberCallOptions): Promise<Uint8Array>;
  /** Opens a stream for watches that ends when the member loses its leader. */
  openWatch(token: string | undefined): Promise<MemberWatch>;
  /** Ends its calls and streams and closes the connection. */
  close(): void;
}
