import { type Attribute, decodeAttributes, textOf } from "../attribute.ts";
import { COMPARE_OPERATORS, VERDICTS } from "./expression-numbers.ts";
import { networkU32, networkU64 } from "./network-order.ts";
import type { NftExpression, NftVerdict } from "./nft-expression.ts";

/** Reads one expression's attributes; `undefined` when it is not one that has fields, or has more than they can hold. */
export function decodeKnownExpression(name: string, data: Uint8Array): NftExpression | undefined {
  const values = new Map(decodeAttributes(data).map(({ type, value }) => [type, value]));
  switch (name) {
    case "meta":
      return has(values, [1, 2]) && { kind: "meta", key: number(values, 2), register: number(values, 1) };
    case "payload":
      return (
        has(values, [1, 2, 3, 4]) && {
          kind: "payload",
          base: number(values, 2),
          offset: number(values, 3),
          length: number(values, 4),
          register: number(values, 1),
        }
      );
    case "bitwise":
      return decodeBitwise(values);
    case "cmp":
      return decodeCompare(values);
    case "immediate":
      return decodeVerdict(values);
    case "masq":
      return has(values, [], [1]) && { kind: "masquerade", flags: values.has(1) ? number(values, 1) : 0 };
    case "counter":
      // 3 is padding
      return (
        has(values, [1, 2], [3]) && {
          kind: "counter",
          packets: networkU64(values.get(2)!),
          bytes: networkU64(values.get(1)!),
        }
      );
    default:
      return undefined;
  }
}

type Values = ReadonlyMap<number, Uint8Array>;

/** True when all the needed attributes are there and none but these and the optional ones; else undefined. */
function has(values: Values, needed: readonly number[], optional: readonly number[] = []): true | undefined {
  const known = (type: number): boolean => needed.includes(type) || optional.includes(type);
  const all = needed.every((type) => values.has(type)) && [...values.keys()].every(known);
  return all || undefined;
}

function number(values: Values, type: number): number {
  return networkU32(values.get(type)!);
}

/** The only attribute of a nested value when it has that type. */
function single(value: Uint8Array, type: number): Uint8Array | undefined {
  const attributes: readonly Attribute[] = decodeAttributes(value);
  return attributes.length === 1 && attributes[0]!.type === type ? attributes[0]!.value : undefined;
}

function decodeBitwise(values: Values): NftExpression | undefined {
  // 6 is the operation: 0, which older kernels do not send, is mask and xor.
  if (!has(values, [1, 2, 3, 4, 5], [6]) || (values.has(6) && number(values, 6) !== 0)) return undefined;
  const mask = single(values.get(4)!, 1);
  const xor = single(values.get(5)!, 1);
  if (!mask || !xor || mask.length !== number(values, 3) || xor.length !== mask.length) return undefined;
  return { kind: "bitwise", source: number(values, 1), destination: number(values, 2), mask, xor };
}

function decodeCompare(values: Values): NftExpression | undefined {
  if (!has(values, [1, 2, 3])) return undefined;
  const operator = COMPARE_OPERATORS[number(values, 2)];
  const value = single(values.get(3)!, 1);
  return operator && value && { kind: "compare", register: number(values, 1), operator, value };
}

function decodeVerdict(values: Values): NftVerdict | undefined {
  if (!has(values, [1, 2]) || number(values, 1) !== 0) return undefined;
  const nested = single(values.get(2)!, 2);
  const parts = nested && new Map(decodeAttributes(nested).map(({ type, value }) => [type, value]));
  if (!parts || !has(parts, [1], [2])) return undefined;
  const code = number(parts, 1) | 0;
  const verdict = verdicts.find((name) => VERDICTS[name] === code);
  const chain = parts.get(2);
  return verdict && { kind: "verdict", verdict, ...(chain && { chain: textOf(chain) }) };
}

const verdicts = Object.keys(VERDICTS) as NftVerdict["verdict"][];
