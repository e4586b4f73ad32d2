/** What the screen shows of one host. */
export interface HostView {
  readonly name: string;
  readonly state: "joining" | "up" | "stopped";
  /** Its address on the underlay. */
  readonly publicIP: string;
  /** Its slice of the overlay; absent until it has joined. */
  readonly subnet?: string | undefined;
  /** The TUN device that carries its packets. */
  readonly device?: string | undefined;
  readonly mtu?: number | undefined;
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
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Whether the receiver's checksum equals the sender's. */
  readonly equal: boolean;
}

/** Everything that the screen shows. */
export interface LabView {
  readonly network: string;
  readonly hosts: readonly HostView[];
  /** Which host the keys act on. */
  readonly selected: number;
  /** Round-trip times in milliseconds between containers, by host: `rtt[from][to]`; `null` when no answer came. */
  readonly rtt: readonly (readonly (number | null | undefined)[])[];
  readonly transfers: readonly TransferView[];
  /** The latest events, oldest first. */
  readonly events: readonly string[];
}
