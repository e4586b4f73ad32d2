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
      /** The store did not do what was asked; it is asked again: `renewing` the lease, or `acquiring` one after a loss. */
      readonly type: "retrying";
      readonly doing: "renewing" | "acquiring";
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
