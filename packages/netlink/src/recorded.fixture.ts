import assert from "node:assert/strict";
import { decodeMessages, encodeMessages, type NetlinkMessage } from "./message.ts";

/** Reads hexadecimal bytes; what follows a # on a line is explanation. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(
    text
      .replaceAll(/#.*$/gm, "")
      .trim()
      .split(/\s+/)
      .filter((pair) => pair !== ""),
    (pair) => Number.parseInt(pair, 16),
  );
}

/** The one message of a recording. */
export function only(wire: Uint8Array): NetlinkMessage {
  const messages = decodeMessages(wire);
  assert.equal(messages.length, 1);
  return messages[0]!;
}

/** Sends `payload` again in the place of the recorded one. */
export function again(wire: Uint8Array, payload: Uint8Array): Uint8Array {
  return encodeMessages([{ ...only(wire), payload }]);
}
