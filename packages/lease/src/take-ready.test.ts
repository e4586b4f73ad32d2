import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { takeReady } from "./take-ready.ts";

test("takeReady() gives together what is ready together, in order", async () => {
  expect(await collect(takeReady(source([1, 2, 3], [4], [5, 6])))).toEqual([[1, 2, 3], [4], [5, 6]]);
});

test("takeReady() bounds a group when the source never pauses", async () => {
  const many = Array.from({ length: 5_000 }, (_, index) => index);
  const groups = await collect(takeReady(source(many)));
  expect(groups.map(({ length }) => length)).toEqual([4_096, 904]);
  expect(groups.flat()).toEqual(many);
});

test("takeReady() gives what came before an error, and then the error", async () => {
  const groups: (readonly number[])[] = [];
  const reading = (async () => {
    for await (const group of takeReady(failing())) groups.push(group);
  })();
  await expect(reading).rejects.toThrow("cut");
  expect(groups).toEqual([[1, 2]]);
});

async function* failing(): AsyncGenerator<number, void, undefined> {
  yield 1;
  yield 2;
  throw new Error("cut");
}

/** Items come in bursts, some turns apart. */
async function* source(...bursts: readonly (readonly number[])[]): AsyncGenerator<number, void, undefined> {
  for (const burst of bursts) {
    for (let turn = 0; turn < 3; turn += 1) await setImmediate(undefined);
    yield* burst;
  }
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
