import type { Backend } from "@loden/backend";
import type { UdpBackend } from "@loden/backend-udp";

export type { KernelPathState } from "@loden/backend-udp";

/**
 * Gives what the udp backend alone has: its pump, and what the kernel does of the pump's work.
 *
 * @param backend any.
 * @returns the same, or `undefined` when it is another.
 */
export function udpBackendOf(backend: Backend): UdpBackend | undefined {
  return backend.type === "udp" ? (backend as UdpBackend) : undefined;
}
