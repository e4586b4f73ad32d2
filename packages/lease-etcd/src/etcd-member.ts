import type { Message } from "./etcd-messages.ts";

/** The services of etcd that are called. */
export type EtcdService = "KV" | "Lease" | "Auth";

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
  /** Reads the next message; one read at a time. Nothing is read ahead, so a slow reader slows the server down. */
  next(): Promise<Message>;
  /** Sends a message. */
  send(message: Message): void;
  /** Ends it; a pending read rejects. A second call changes nothing. */
  cancel(): void;
}

/** The connection to one member of a cluster, as thin as can be: nothing is retried here. Rejects with EtcdStatusError. */
export interface EtcdMember {
  /** Such as `https://10.0.0.1:2379`. */
  readonly endpoint: string;
  /** Calls a unary method. */
  call(service: EtcdService, method: string, request: Message, options: MemberCallOptions): Promise<Message>;
  /** Opens a stream for watches that ends when the member loses its leader. */
  openWatch(token: string | undefined): Promise<MemberWatch>;
  /** Ends its calls and streams and closes the connection. */
  close(): void;
}
