import { Address, parseAddress } from "@loden/ip";
import type { JsonValue, LeaseAttributes } from "./lease.ts";

/**
 * Writes what a host publishes as flannel does, byte for byte: compact JSON, the members in flannel's order, `<`, `>`
 * and `&` escaped as Go does. `PublicIP` and `PublicIPv6` are always there (`"0.0.0.0"` and `null` when unset), the
 * rest only when set. `parseLeaseValue` reads it back.
 *
 * @param attributes - What to publish.
 * @returns The JSON text.
 * @throws {RangeError} If a flannel host would choke on it or misread it: an address of the wrong family, or a backend
 *   type that flannel never writes out (`udp`, `alloc` and `tencent-vpc` leases carry none).
 * @throws {TypeError} If the backend type is no string or backend data is no JSON value.
 */
export function formatLeaseValue(attributes: LeaseAttributes): string {
  const { publicIP, publicIPv6, backendType, backendData, backendV6Data } = attributes;
  const members = [
    `"PublicIP":${formatAddress("PublicIP", publicIP, 4) ?? '"0.0.0.0"'}`,
    `"PublicIPv6":${formatAddress("PublicIPv6", publicIPv6, 6) ?? "null"}`,
  ];
  checkBackendType(backendType);
  if (backendType !== "") members.push(`"BackendType":${formatJson("BackendType", backendType)}`);
  if (backendData !== undefined) members.push(`"BackendData":${formatJson("BackendData", backendData)}`);
  if (backendV6Data !== undefined)
    members.push(`"BackendV6Data":${formatJson("BackendV6Data", backendV6Data)}`);
  return `{${members.join(",")}}`;
}

/**
 * Reads what a host published. Takes what flannel's decoder takes: member names in any case, unknown members, any order
 * and spacing, an IPv4-mapped `PublicIP`.
 *
 * @param text - The JSON text of a lease.
 * @returns What it publishes; an absent or `0.0.0.0` public address is `undefined`, an absent backend type `""`.
 * @throws {SyntaxError} If it is no JSON object, or a member is not what flannel's decoder accepts.
 */
export function parseLeaseValue(text: string): LeaseAttributes {
  const members = parseMembers(text);
  const publicIP = readAddress("PublicIP", members.get("publicip"), 4);
  const publicIPv6 = readAddress("PublicIPv6", members.get("publicipv6") ?? undefined, 6);
  const backendType = members.get("backendtype") ?? "";
  if (typeof backendType !== "string") throw memberError("BackendType", backendType, "a string");
  const backendData = members.get("backenddata");
  const backendV6Data = members.get("backendv6data");
  return {
    ...(publicIP !== undefined && !publicIP.isUnspecified && { publicIP }),
    ...(publicIPv6 !== undefined && { publicIPv6 }),
    backendType,
    ...(backendData !== undefined && { backendData }),
    ...(backendV6Data !== undefined && { backendV6Data }),
  };
}

function formatAddress(member: string, address: Address | undefined, family: 4 | 6): string | undefined {
  if (address === undefined) return undefined;
  if (address.family !== family) {
    throw new RangeError(
      `Cannot format lease value: ${member} is ${address.toString()}, expected an IPv${family} address`,
    );
  }
  return JSON.stringify(address.toString());
}

// Backends whose leases flannel writes without a type.
const untyped = new Set(["udp", "alloc", "tencent-vpc"]);

function checkBackendType(backendType: unknown): void {
  if (typeof backendType !== "string") {
    throw new TypeError(
      `Cannot format lease value: BackendType is ${JSON.stringify(backendType)}, expected a string`,
    );
  }
  if (untyped.has(backendType)) {
    throw new RangeError(
      `Cannot format lease value: BackendType is "${backendType}", expected "" (its leases carry no type)`,
    );
  }
}

function formatJson(member: string, value: JsonValue): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) {
    throw new TypeError(`Cannot format lease value: ${member} is a ${typeof value}, expected a JSON value`);
  }
  // These occur inside strings only, so escaping them anywhere keeps the value.
  return text.replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function parseMembers(text: string): Map<string, JsonValue> {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (error) {
    throw new SyntaxError(`Cannot parse lease value: ${(error as Error).message}, expected a JSON object`, {
      cause: error,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new SyntaxError(`Cannot parse lease value: it is ${shorten(value)}, expected a JSON object`);
  }
  const members = new Map<string, JsonValue>();
  for (const [name, member] of Object.entries(value)) members.set(name.toLowerCase(), member);
  return members;
}

function readAddress(member: string, value: JsonValue | undefined, family: 4 | 6): Address | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string") throw memberError(member, value, "an address as a string");
  let address: Address;
  try {
    address = parseAddress(value);
  } catch (error) {
    throw memberError(member, value, `an IPv${family} address`, error);
  }
  if (address.family === family) return address;
  // Go keeps both families in 16 bytes, so each field takes the other's text where the address can be mapped.
  if (family === 6) return new Address(6, mappedPrefix | address.value);
  const unmapped = address.unmap();
  if (unmapped.family === 4) return unmapped;
  throw memberError(member, value, "an IPv4 address");
}

const mappedPrefix = 0xffffn << 32n;

function memberError(member: string, value: JsonValue, expected: string, cause?: unknown): SyntaxError {
  return new SyntaxError(
    `Cannot parse lease value: ${member} is ${shorten(value)}, expected ${expected}`,
    cause === undefined ? undefined : { cause },
  );
}

function shorten(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > 64 ? `${text.slice(0, 61)}...` : text;
}
