import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { frameMessage, MessageFrames } from "./message-frames.ts";

const message = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

describe("MessageFrames", () => {
  test("finds the messages of a stream however it is cut into pieces", () => {
    const cuts = fc.array(fc.nat({ max: 2_000 }), { maxLength: 30 });
    fc.assert(
      fc.property(fc.array(message), cuts, (messages, at) => {
        const stream = Buffer.concat(messages.map(frameMessage));
        const places = [...at.filter((place) => place < stream.length), stream.length].toSorted(
          (a, b) => a - b,
        );
        const frames = new MessageFrames();
        const found = places.flatMap((end, index) => [
          ...frames.push(stream.subarray(places[index - 1] ?? 0, end)),
        ]);
        expect(found.map((bytes) => Buffer.from(bytes))).toEqual(messages);
        expect(frames.isInside).toBe(false);
      }),
    );
  });

  test("is inside a message until all of it has come", () => {
    const frames = new MessageFrames();
    const stream = frameMessage(Buffer.from("abc"));
    expect([...frames.push(stream.subarray(0, 6))]).toEqual([]);
    expect(frames.isInside).toBe(true);
  });

  test("push() throws EtcdStatusError when a message is compressed or longer than 64 MiB", () => {
    expect(() => [...new MessageFrames().push(Buffer.of(1, 0, 0, 0, 1))]).toThrow(/compressed/);
    expect(() => [...new MessageFrames().push(Buffer.of(0, 4, 0, 0, 1))]).toThrow(/67108865 bytes/);
  });
});
