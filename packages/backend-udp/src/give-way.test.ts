import { expect, test } from "vitest";
import { createGiveWay } from "./give-way.ts";

test("createGiveWay() gives way after 50 us of work, and not at once when work begins", () => {
  let time = 1000;
  const at: number[] = [];
  const giveWay = createGiveWay(
    () => time,
    () => {
      at.push(time - 1000);
      // Others had the processor meanwhile.
      time += 1;
    },
  );
  const work = (times: number): void => {
    for (let i = 0; i < times; i++) {
      giveWay();
      // A number that is exact: 31 us.
      time += 1 / 32;
    }
  };
  work(7);
  expect(at).toEqual([2 / 32, 1 + 4 / 32, 2 + 6 / 32]);
  time += 60_000;
  work(2);
  expect(at).toHaveLength(3);
  work(1);
  expect(at).toHaveLength(4);
});
