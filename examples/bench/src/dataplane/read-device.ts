import { readFileSync } from "node:fs";

/** Packets and bytes. */
export interface Moved {
  readonly packets: number;
  readonly bytes: number;
}

/** The account of a device. */
export interface DeviceAccount {
  readonly received: Moved;
  /** Of a TUN device: what userspace has read. A program at its egress that sends a packet elsewhere keeps it out of this. */
  readonly sent: Moved;
}

/** Reads the account of a device of the calling thread's network namespace; as `ip -s link show DEVICE`. Zeros where there is no such device. */
export function readDevice(name: string): DeviceAccount {
  const line = readFileSync("/proc/thread-self/net/dev", "utf8")
    .split("\n")
    .find((text) => text.trim().startsWith(`${name}:`));
  const columns = (line?.split(":")[1] ?? "").trim().split(/\s+/).map(Number);
  const at = (column: number): Moved => ({ bytes: columns[column] ?? 0, packets: columns[column + 1] ?? 0 });
  return { received: at(0), sent: at(8) };
}
