import type { TunOffloads } from "@loden/tun";

// What the main thread and a pump tell each other.

/** The 32-bit cells in memory that both threads see; each is written by one side. */
export const Cell = {
  /** Set to 1 by the main thread: end at the next turn. */
  stop: 0,
  /** Counted up by the pump each time that it is woken from its sleep. */
  wakeups: 1,
  /** Set to 1 by the pump when it will not touch its descriptors any more. */
  stopped: 2,
  /** Set to 1 by the main thread, after it has posted {@link PumpSockets}: go on with those. The pump sets it back. */
  move: 3,
  /** Set to 1 by the pump before it watches its descriptors; back to 0 by the main thread when it has ended. */
  watching: 4,
  /** How many there are. */
  count: 5,
} as const;

/** One outer socket, as a pump takes it; the main thread keeps and closes the descriptors. */
export interface OuterFds {
  readonly fd: number;
  /** How many datagrams the kernel cuts out of one message. */
  readonly segmentsPerSend: number;
  /** A UDP socket that is never sent through: the kernel tells the path MTU by it. */
  readonly mtuFd: number;
}

/** The outer sockets of a pump, one at least. */
export interface PumpSockets {
  readonly ipv4: OuterFds | undefined;
  readonly ipv6: OuterFds | undefined;
}

/** What a pump is started with; cloned into the worker. */
export interface PumpStart extends PumpSockets {
  /** The packet memory, as `shared()` gives it. */
  readonly memory: unknown;
  /** Which queue of the memory is this pump's. */
  readonly queue: number;
  /** Descriptors; the main thread keeps and closes them. */
  readonly tunFd: number;
  /** What the TUN device was granted. */
  readonly offloads: TunOffloads | undefined;
  /** Wakes the pump, to look at the cells. */
  readonly wakeFd: number;
  /** The cells. */
  readonly cells: Int32Array<SharedArrayBuffer>;
  readonly peerSource: "strict" | "any";
}

/** What a pump tells the main thread. */
export type PumpMessage =
  | {
      /** It waits for packets. */
      readonly type: "running";
    }
  | {
      /** It uses the sockets that it was last sent, and no others any more. */
      readonly type: "moved";
    }
  | {
      /** It has stopped and will not touch its descriptors again. */
      readonly type: "stopped";
    }
  | {
      /** The TUN device was deleted; the pump has stopped. */
      readonly type: "deviceLost";
      /** The error number of the read that told. */
      readonly errno: number;
    }
  | {
      /** A datagram came from an address that is no peer's, for the first time. */
      readonly type: "unknownSender";
      /** The address, and the one inside the datagram: 4 or 16 bytes each. */
      readonly sender: Uint8Array;
      readonly source: Uint8Array;
    }
  | {
      /** A router found a packet too long that was sent to this endpoint: IPv4, as an unsigned number. At most once in a second for each. */
      readonly type: "narrowPath";
      readonly endpoint: number;
    };
