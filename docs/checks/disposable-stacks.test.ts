import { describe, expect, test } from "vitest";
import * as built from "../../disposable-stacks.ts";

test("the runtime's own stacks are used where it has them", () => {
  expect([built.DisposableStack, built.AsyncDisposableStack]).toEqual([
    DisposableStack,
    AsyncDisposableStack,
  ]);
});

// The runtime's own stacks are the model.

describe.each([
  ["runtime's", DisposableStack],
  ["build's", built.PortableDisposableStack as unknown as DisposableStackConstructor],
])("the %s DisposableStack", (_, Stack) => {
  test("disposes of everything once, the last one first", () => {
    const done: string[] = [];
    const stack = new Stack();
    expect(stack.use({ name: "a", [Symbol.dispose]: () => done.push("a") }).name).toBe("a");
    expect(stack.use(undefined)).toBeUndefined();
    stack.defer(() => done.push("b"));
    expect(stack.adopt("c", (value) => done.push(value))).toBe("c");
    expect(stack.disposed).toBe(false);
    stack.dispose();
    stack.dispose();
    expect([done, stack.disposed]).toEqual([["c", "b", "a"], true]);
    expect(() => stack.defer(() => undefined)).toThrow(ReferenceError);
    expect(() => stack.move()).toThrow(ReferenceError);
  });

  test("goes on after an error, and each error suppresses the one before", () => {
    const done: string[] = [];
    const fail = (text: string) => (): void => {
      done.push(text);
      throw new Error(text);
    };
    const stack = new Stack();
    stack.defer(fail("a"));
    stack.defer(() => done.push("b"));
    stack.defer(fail("c"));
    expect(() => stack.dispose()).toThrow(
      expect.objectContaining({
        name: "SuppressedError",
        error: expect.objectContaining({ message: "a" }),
        suppressed: expect.objectContaining({ message: "c" }),
      }),
    );
    expect(done).toEqual(["c", "b", "a"]);
  });

  test("moves what it has, and refuses what can't be disposed of", () => {
    const done: string[] = [];
    const first = new Stack();
    first.defer(() => done.push("a"));
    first.defer(() => done.push("b"));
    const second = first.move();
    first.dispose();
    expect(done).toEqual([]);
    second[Symbol.dispose]();
    expect(done).toEqual(["b", "a"]);
    expect(() => new Stack().use({} as Disposable)).toThrow(TypeError);
  });
});

describe.each([
  ["runtime's", AsyncDisposableStack],
  ["build's", built.PortableAsyncDisposableStack as unknown as AsyncDisposableStackConstructor],
])("the %s AsyncDisposableStack", (_, Stack) => {
  test("awaits each, the last one first, and takes what is disposed of at once too", async () => {
    const done: string[] = [];
    const later = (text: string) => async (): Promise<void> => {
      await Promise.resolve();
      done.push(text);
    };
    const stack = new Stack();
    stack.use({ [Symbol.asyncDispose]: later("a") });
    stack.use({ [Symbol.dispose]: () => done.push("b") });
    stack.defer(later("c"));
    const moved = stack.move();
    await stack.disposeAsync();
    expect(done).toEqual([]);
    await moved[Symbol.asyncDispose]();
    await moved.disposeAsync();
    expect([done, moved.disposed]).toEqual([["c", "b", "a"], true]);
    expect(() => stack.defer(() => undefined)).toThrow(ReferenceError);
  });

  test("rejects with the first error, suppressed by the later ones, when all is done", async () => {
    const stack = new Stack();
    stack.defer(() => Promise.reject(new Error("a")));
    stack.defer(() => {
      throw new Error("b");
    });
    await expect(stack.disposeAsync()).rejects.toMatchObject({
      name: "SuppressedError",
      error: { message: "a" },
      suppressed: { message: "b" },
    });
  });
});
