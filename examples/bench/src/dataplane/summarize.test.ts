import { describe, expect, test } from "vitest";
import { median, quantile, ratioOf } from "./summarize.ts";

describe("quantile()", () => {
  test("quantile() gives the sample at its place when they are out of order", () => {
    const samples = Array.from({ length: 100 }, (_, i) => (i * 37) % 100);
    expect(quantile(samples, 0)).toBe(0);
    expect(quantile(samples, 0.5)).toBe(50);
    expect(quantile(samples, 0.99)).toBe(99);
    expect(quantile(samples, 1)).toBe(99);
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe("median()", () => {
  test("median() takes the middle, or the mean of the middle two", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});

describe("ratioOf()", () => {
  test("ratioOf() divides round by round when the rounds differ wildly", () => {
    expect(ratioOf([2, 200, 20], [1, 100, 10])).toEqual({ median: 2, low: 2, high: 2, rounds: 3 });
  });

  test("ratioOf() leaves out rounds when a side is missing", () => {
    expect(ratioOf([2, undefined, 6], [1, 1, 2])).toMatchObject({ median: 2.5, rounds: 2 });
    expect(ratioOf([1, 2], [undefined, 0])).toBeUndefined();
  });
});
