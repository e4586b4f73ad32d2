import type { Attribute } from "./attribute.ts";
import { numberOf, visitAttributes, writeAttributes } from "./attribute.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** Path properties of a route (RTAX_* inside RTA_METRICS, linux/rtnetlink.h). */
export interface RouteMetrics {
  /** Bits of metrics that must not change: `1 << 2` locks the MTU. */
  readonly lock?: number | undefined;
  /** Path MTU in bytes. */
  readonly mtu?: number | undefined;
  /** Maximum segment size that TCP advertises, in bytes. */
  readonly advertisedMss?: number | undefined;
  /** Hop limit (TTL) of packets sent. */
  readonly hopLimit?: number | undefined;
  /** Initial congestion window, in packets. */
  readonly initialWindow?: number | undefined;
  /** Metrics that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/** Writes the attributes inside RTA_METRICS. */
export function writeMetrics(writer: ByteWriter, metrics: RouteMetrics): void {
  for (const [field, type] of fields) {
    const value = metrics[field];
    if (value !== undefined) writer.attributeU32(type, value);
  }
  if (metrics.other) writeAttributes(writer, metrics.other);
}

/** Reads the attributes inside RTA_METRICS. */
export function decodeMetrics(bytes: Uint8Array): RouteMetrics {
  const metrics: { -readonly [K in keyof RouteMetrics]: RouteMetrics[K] } = {};
  const other: Attribute[] = [];
  visitAttributes(bytes, 0, (type, value, flags) => {
    const field = fields.find((entry) => entry[1] === type)?.[0];
    if (field !== undefined) metrics[field] = numberOf(value);
    else other.push({ type, value, flags });
  });
  if (other.length > 0) metrics.other = other;
  return metrics;
}

const fields = [
  ["lock", 1],
  ["mtu", 2],
  ["advertisedMss", 8],
  ["hopLimit", 10],
  ["initialWindow", 11],
] as const satisfies readonly (readonly [keyof RouteMetrics, number])[];
