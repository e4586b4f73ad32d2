import type { JsonValue } from "@loden/lease";
import type { NodeEvent } from "@loden/lodend";
import { formatSubnet } from "@loden/subnet";

/**
 * Says what happened to a node in words for someone who has never seen an overlay.
 *
 * @param event what happened.
 * @returns one line.
 */
export function describeEvent(event: NodeEvent): string {
  switch (event.type) {
    case "acquired":
      return `leased ${formatSubnet(event.lease.subnet)} for its containers`;
    case "joined":
      return `joined, containers may use an MTU of ${event.mtu}`;
    case "peers":
      return event.changes.length === 0 ? `knows ${event.count} peers` : event.changes.join(", ");
    case "renewed":
      return `renewed its lease of ${formatSubnet(event.lease.subnet)}`;
    case "retrying":
      return `could not ${retries[event.doing]} yet: ${String(event.error)}`;
    case "published":
      return `told its peers what changed in its lease${decapsulatesText(event.lease.attributes.backendData)}`;
    case "underlayLost":
      return `is cut off: ${event.reason}`;
    case "underlayChanged":
      return `follows ${event.underlay.link}, which has an MTU of ${event.underlay.mtu} and ${String(event.underlay.ipv4 ?? event.underlay.ipv6)} now`;
    case "mtuChanged":
      return `containers may use an MTU of ${event.mtu} now instead of ${event.before}`;
    case "unconfirmed":
      return "could not renew its lease in time; it goes on, and tries again";
    case "fenced":
      return "stopped packets to its peers: its subnet may be another host's";
    case "lost":
      return `lost its lease: ${event.reason}`;
    case "subnetChanged":
      return `now has ${event.after} instead of ${event.before}`;
    case "releaseFailed":
      return `could not give its lease back: ${String(event.error)}`;
  }
}

/** What a host of the udp backend publishes of its kernel. */
function decapsulatesText(data: JsonValue | undefined): string {
  if (typeof data !== "object" || data === null || !("Decapsulates" in data)) return "";
  return data["Decapsulates"] === "all"
    ? ": its kernel takes packets out of datagrams by itself"
    : ": its kernel takes TCP acknowledgements out of datagrams by itself";
}

const retries = {
  renewing: "renew its lease",
  acquiring: "get a new lease",
  moving: "follow its interface to the other hosts",
};
