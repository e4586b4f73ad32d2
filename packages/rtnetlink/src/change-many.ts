import type { NetlinkRequest } from "@loden/netlink-socket";
import type { KernelError } from "@loden/linux";
import type { CallOptions } from "./call-options.ts";
import type { RequestSocket } from "./socket/request-socket.ts";

/**
 * Carries out changes in order, 32 per system call, all of them whether or not some are refused.
 *
 * @param requestFor Makes the request of a change, or says at once why there can be none.
 * @returns For each change the error that it met, `undefined` when the kernel carried it out.
 */
export async function changeMany<T>(
  socket: RequestSocket,
  changes: Iterable<T>,
  requestFor: (change: T) => NetlinkRequest | KernelError,
  { signal }: CallOptions = {},
): Promise<(KernelError | undefined)[]> {
  const errors: (KernelError | undefined)[] = [];
  const requests: NetlinkRequest[] = [];
  const positions: number[] = [];
  for (const change of changes) {
    const request = requestFor(change);
    if (request instanceof Error) errors.push(request);
    else {
      positions.push(errors.length);
      requests.push(request);
      errors.push(undefined);
    }
  }
  const answers = await socket.change(requests, signal);
  for (const [index, error] of answers.entries()) if (error) errors[positions[index]!] = error;
  return errors;
}
