import type { Underlay } from "@loden/backend";
import type { Lease } from "@loden/lease";

/** Something in a node's life that an operator wants to know. */
export type NodeEvent =
  | {
      /** The node holds a subnet. */
      readonly type: "acquired";
      readonly lease: Lease;
    }
  | {
      /** Device, socket, route and `subnet.env` are in place. */
      readonly type: "joined";
      /** What containers may use, in bytes. */
      readonly mtu: number;
    }
  | {
      /** The set of peers changed. */
      readonly type: "peers";
      /** How many there are now. */
      readonly count: number;
      /** All of them. */
      readonly peers: readonly Lease[];
      /** What changed, in words: `added 10.1.2.0/24 at 192.0.2.2`. */
      readonly changes: readonly string[];
    }
  | {
      /** The lease was renewed. */
      readonly type: "renewed";
      readonly lease: Lease;
    }
  | {
      /** The lease says something else to the peers than before, on the same subnet: this host's address, or what its backend needs them to know. */
      readonly type: "published";
      readonly lease: Lease;
    }
  | {
      /** The interface between hosts can't carry packets now. */
      readonly type: "underlayLost";
      readonly reason: string;
    }
  | {
      /** The backend works over a changed interface: another address or MTU, or it came back. */
      readonly type: "underlayChanged";
      readonly underlay: Underlay;
    }
  | {
      /** Containers may use packets of another length; `subnet.env` says so. Those that run keep theirs. */
      readonly type: "mtuChanged";
      /** In bytes. */
      readonly before: number;
      readonly mtu: number;
    }
  | {
      /**
       * Something did not work and is tried again: `renewing` the lease, `acquiring` one after a loss, or `moving` the backend to the changed
       * interface.
       */
      readonly type: "retrying";
      readonly doing: "renewing" | "acquiring" | "moving";
      readonly error: unknown;
    }
  | {
      /** The lease's time ran out without an answer from the store; attempts go on, and packets too unless the node is fenced. */
      readonly type: "unconfirmed";
    }
  | {
      /** Packets to peers were stopped, because the subnet may be another host's. */
      readonly type: "fenced";
    }
  | {
      /** The lease is gone or another host's; the node acquires one again. */
      readonly type: "lost";
      readonly reason: string;
    }
  | {
      /** The node holds another subnet than before: containers must be numbered anew. */
      readonly type: "subnetChanged";
      readonly before: string;
      readonly after: string;
    }
  | {
      /** The lease could not be given back at the end; it expires by itself. */
      readonly type: "releaseFailed";
      readonly error: unknown;
    };
