import { channel, type Channel } from "node:diagnostics_channel";
import type { LeaseAttributes } from "@loden/lease";

/** Something about a backend that an operator wants to know. Published on the diagnostics channel `loden:backend`. */
export type BackendEvent =
  | {
      /** A lease can't be served by this backend, and is no peer. */
      readonly type: "peerSkipped";
      /** The backend's type. */
      readonly backend: string;
      /** The subnet of the lease, as text. */
      readonly subnet: string;
      /** Why, in words. */
      readonly reason: string;
    }
  | {
      /** A lease is served, and says something by which packets for it can't arrive. */
      readonly type: "peerDoubtful";
      readonly backend: string;
      /** The subnet of the lease, as text. */
      readonly subnet: string;
      /** What that is, in words. */
      readonly reason: string;
    }
  | {
      /** The packet path failed and was started again. */
      readonly type: "pumpRestarted";
      readonly backend: string;
      /** What it failed with. */
      readonly error: unknown;
      /** How often this has happened. */
      readonly restarts: number;
    }
  | {
      /** The device was deleted by somebody else; packets stopped. */
      readonly type: "deviceLost";
      readonly backend: string;
      /** The device's name. */
      readonly device: string;
    }
  | {
      /** Datagrams from an address that is no peer's were dropped. Told once for each of the first addresses; counted always. */
      readonly type: "senderUnknown";
      readonly backend: string;
      /** The address that they come from. */
      readonly sender: string;
      /** The source of the packet inside the first of them. */
      readonly source: string;
      /** The address of the peer whose subnet that is in, where datagrams with it should have come from; undefined when it is nobody's. */
      readonly expected: string | undefined;
      /** The backend's setting with which they are taken, if there is one. */
      readonly admittedBy: string | undefined;
    }
  | {
      /** The kernel changed, and refuses what the backend wants of it now; that is tried again at the next change. */
      readonly type: "programFailed";
      readonly backend: string;
      /** What it says. */
      readonly error: unknown;
    }
  | {
      /** Containers may use packets of another length than before: `subnet.env` has to say so. */
      readonly type: "mtuChanged";
      readonly backend: string;
      /** Bytes, before and now. */
      readonly before: number;
      readonly mtu: number;
    }
  | {
      /** What the kernel passes on by itself changed; the rest goes through userspace. */
      readonly type: "kernelPathChanged";
      readonly backend: string;
      /** Whether it passes on anything. */
      readonly on: boolean;
      /** Why it doesn't, in words. */
      readonly reason?: string | undefined;
      /** What it takes off of what peers send: everything, or TCP's bare acknowledgements. */
      readonly decapsulates?: "all" | "acks" | undefined;
      /** For whom it encapsulates: all peers, or those that say what their kernels take off. */
      readonly encapsulatesFor?: "all" | "able" | undefined;
    }
  | {
      /** What peers have to know changed: the lease has to be published again. */
      readonly type: "attributesChanged";
      readonly backend: string;
      readonly attributes: LeaseAttributes;
    };

const events: Channel<unknown, BackendEvent> = channel("loden:backend") as Channel<unknown, BackendEvent>;

/**
 * Publishes an event on the diagnostics channel `loden:backend`.
 *
 * @param event what happened.
 */
export function publishBackendEvent(event: BackendEvent): void {
  if (events.hasSubscribers) events.publish(event);
}
