import type { JsonValue } from "@loden/lease";
import { isUnicast, parseHardwareAddress } from "./hardware-address.ts";

/** What a host publishes of its VXLAN device, the tunnel's end point: flannel's `BackendData` and `BackendV6Data`. */
export interface VtepData {
  /** The VXLAN network identifier. Readers go by their own configuration, and say when it is another one. */
  readonly vni?: number | undefined;
  /** Hardware address of the device, as `c6:d2:32:6f:8f:44`; absent while the host does not know it (flannel on Windows). */
  readonly mac?: string | undefined;
}

/**
 * Makes the lease's backend data as flannel writes it.
 *
 * @param data identifier and address.
 * @returns an object whose members stand in flannel's order: `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}`.
 */
export function formatVtepData({ vni, mac }: { readonly vni: number; readonly mac: string }): JsonValue {
  return { VNI: vni, VtepMAC: mac };
}

/**
 * Reads a lease's backend data as flannel's decoder does: member names in any case, unknown members, `null` for what is absent, any form
 * of the address. flannel does not look at the identifier, so one that is no number counts as absent.
 *
 * @param data the lease's `BackendData` or `BackendV6Data`.
 * @returns identifier and address.
 * @throws {SyntaxError} when it is no object, or the address is none, or not one that frames can be sent to.
 */
export function parseVtepData(data: JsonValue | undefined): VtepData {
  if (data === undefined || data === null) return {};
  if (typeof data !== "object" || Array.isArray(data)) throw problem(data, "an object with VNI and VtepMAC");
  const members = new Map(Object.entries(data).map(([name, value]) => [name.toLowerCase(), value]));
  const vni = members.get("vni");
  const text = members.get("vtepmac") ?? undefined;
  if (text !== undefined && typeof text !== "string") throw problem(text, "a hardware address as VtepMAC");
  const mac = text === undefined ? undefined : parseHardwareAddress(text);
  if (mac !== undefined && !isUnicast(mac)) throw problem(mac, "the address of one device as VtepMAC");
  return { ...(typeof vni === "number" && { vni }), ...(mac !== undefined && { mac }) };
}

function problem(value: JsonValue, expected: string): SyntaxError {
  return new SyntaxError(
    `Cannot parse VTEP data: it is ${JSON.stringify(value).slice(0, 64)}, expected ${expected}`,
  );
}
