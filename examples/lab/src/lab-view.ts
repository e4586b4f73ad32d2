import type { KernelPathState } from "@loden/lodend";
import type { LabSettings } from "./lab-settings.ts";

/** What the screen shows of one host. */
export interface HostView {
  readonly name: string;
  readonly state: "joining" | "up" | "failed" | "stopped";
  /** What it publishes: its address on the underlay, of dual stack both. */
  readonly publicIP: string;
  /** Its slice of the overlay; absent until it has joined. */
  readonly subnet?: string | undefined;
  /** The device that carries its packets, where there is one; of two both. */
  readonly device?: string | undefined;
  readonly mtu?: number | undefined;
  /** Which packets the kernel carries by itself, or why none; absent where it carries all anyway, and while the host is not up. */
  readonly kernelPath?: KernelPathState | undefined;
  /** Other hosts that it knows. */
  readonly peers: number;
  /** The overlay's routes in its kernel, as text. */
  readonly routes: readonly string[];
  readonly sent: Traffic;
  readonly received: Traffic;
  /** Dropped packets by reason, both directions. */
  readonly drops: Readonly<Record<string, number>>;
}

/** Packets and bytes since the start. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** A finished TCP transfer between containers of two hosts. */
export interface TransferView {
  /** `host1 -> host2`. */
  readonly name: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Whether the receiver's checksum equals the sender's. */
  readonly equal: boolean;
}

/** What the host outside sees of a host's containers. */
export interface OutsideView {
  /** The source address of a datagram, in each family; `null` where none arrived, `undefined` where none was sent yet. */
  readonly seen: readonly (string | null | undefined)[];
  /** What it should be: the host's own address. */
  readonly expected: readonly string[];
}

/** Times of one family: from each host to each. */
export type Matrix = readonly (readonly (number | null | undefined)[])[];

/** Everything that the screen shows. */
export interface LabView {
  /** The overlay's network, of dual stack both. */
  readonly network: string;
  readonly settings: Pick<LabSettings, "backend" | "nat">;
  readonly hosts: readonly HostView[];
  /** Which host the keys act on. */
  readonly selected: number;
  /** Round-trip times in milliseconds between containers, by family and host: `rtt[family][from][to]`; `null` when no answer came. */
  readonly rtt: readonly Matrix[];
  /** By host, where there is a host outside. */
  readonly outside?: readonly OutsideView[] | undefined;
  readonly transfers: readonly TransferView[];
  /** The latest events, oldest first. */
  readonly events: readonly string[];
}
