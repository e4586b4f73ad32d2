import { formatSubnet } from "@loden/subnet";
import type { NodeEvent } from "../node-event.ts";
import type { LogFields, LogLevel } from "./logger.ts";

/**
 * Makes a log line of what happened to the node.
 *
 * @param event what happened.
 * @returns level, message and fields.
 */
export function describeEvent(event: NodeEvent): readonly [LogLevel, string, LogFields?] {
  switch (event.type) {
    case "acquired": {
      const { subnet, expiresAt, revision } = event.lease;
      return [
        "info",
        "acquired a lease",
        { subnet: formatSubnet(subnet), ends: instant(expiresAt), revision },
      ];
    }
    case "joined":
      return ["info", "joined the overlay", { mtu: event.mtu }];
    case "peers":
      return [
        "info",
        event.changes.length === 0 ? "follows its peers" : "peers changed",
        {
          peers: event.count,
          ...(event.changes.length > 0 && { changes: event.changes.slice(0, 20) }),
        },
      ];
    case "renewed":
      return ["info", "renewed the lease", { ends: instant(event.lease.expiresAt) }];
    case "retrying":
      return ["warn", `${retries[event.doing]} failed and is tried again`, { error: event.error }];
    case "published": {
      const { publicIP, publicIPv6, backendData, backendV6Data } = event.lease.attributes;
      return [
        "info",
        "published what changed in the lease",
        { publicIP, publicIPv6, backendData, backendV6Data },
      ];
    }
    case "underlayLost":
      return ["warn", "the interface between hosts carries nothing now", { reason: event.reason }];
    case "underlayChanged":
      return ["info", "followed a change of the interface between hosts", { ...event.underlay }];
    case "mtuChanged":
      return [
        "warn",
        "subnet.env has another MTU now; containers that run keep theirs",
        { before: event.before, mtu: event.mtu },
      ];
    case "unconfirmed":
      return [
        "error",
        "the lease's time ran out without an answer of the store; another host may take the subnet",
      ];
    case "fenced":
      return ["error", "packets to peers are stopped, because the subnet may be another host's"];
    case "lost":
      return ["error", "the lease is lost; acquiring again, the same subnet first", { reason: event.reason }];
    case "subnetChanged":
      return [
        "error",
        "this host has another subnet now: containers must be numbered anew",
        { before: event.before, after: event.after },
      ];
    case "releaseFailed":
      return ["warn", "the lease could not be given back; it ends by itself", { error: event.error }];
  }
}

const retries = {
  renewing: "renewing the lease",
  acquiring: "acquiring the lease",
  moving: "following the interface between hosts",
};

function instant(ms: number | undefined): string {
  return ms === undefined ? "never" : new Date(ms).toISOString();
}
