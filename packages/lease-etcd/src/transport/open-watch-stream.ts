import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";
import type { EtcdMember, MemberWatch } from "./etcd-member.ts";
import { decodeWatch, encodeProgressRequest } from "./etcd-messages.ts";
import type { EtcdWatchStream, WatchAnswer } from "./etcd-transport.ts";

/** Options of {@linkcode openWatchStream}. */
export interface OpenWatchOptions {
  /** From the Auth service, where the cluster wants one. */
  readonly token: string | undefined;
  /** How long the first message may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends the stream whenever it aborts. */
  readonly signal: AbortSignal;
  /** Called when the stream is abandoned. */
  readonly abandon: () => void;
}

/**
 * Starts a watch at one member and waits for its first message.
 *
 * @param member - where
 * @param request - etcd's WatchRequest
 * @param options - the token and time limits
 * @returns the stream
 * @throws {EtcdStatusError} when there is none, `permissionDenied` when the member refuses the watch
 */
export async function openWatchStream(
  member: EtcdMember,
  request: Uint8Array,
  { token, timeoutMs, signal, abandon }: OpenWatchOptions,
): Promise<EtcdWatchStream> {
  const watch = await member.openWatch(token);
  signal.throwIfAborted();
  const cancel = (): void => {
    signal.removeEventListener("abort", cancel);
    watch.cancel();
  };
  signal.addEventListener("abort", cancel, { once: true });
  try {
    watch.send(request);
    return {
      endpoint: member.endpoint,
      created: await readCreated(watch, timeoutMs),
      next: async () => decodeWatch(await watch.next()),
      requestProgress: () => watch.send(encodeProgressRequest()),
      cancel,
      abandon() {
        cancel();
        abandon();
      },
    };
  } catch (error) {
    cancel();
    throw error;
  }
}

async function readCreated(watch: MemberWatch, timeoutMs: number): Promise<WatchAnswer> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    watch.cancel();
  }, timeoutMs);
  try {
    const answer = decodeWatch(await watch.next());
    if (answer.canceled && answer.compactRevision === "0") throw refused(answer.cancelReason);
    return answer;
  } catch (error) {
    if (!isLate) throw error;
    throw new EtcdStatusError(
      GrpcStatus.deadlineExceeded,
      `no answer to a watch within ${Math.round(timeoutMs)} ms`,
    );
  } finally {
    clearTimeout(timer);
  }
}

function refused(reason: string): EtcdStatusError {
  const isDenied = /permission denied|invalid auth token|user name is empty/i.test(reason);
  return new EtcdStatusError(isDenied ? GrpcStatus.permissionDenied : GrpcStatus.unavailable, reason);
}
