// Node.js 22 has `Symbol.dispose` and neither `DisposableStack` nor `AsyncDisposableStack`. The build puts these into the packages that use them,
// as it turns `using` into what Node.js 22 understands; where the runtime has its own, those are used.

type Undo = () => unknown;

/** What both kinds of stack share: functions to call, the last one first. */
class UndoStack {
  #undo: Undo[] = [];
  #disposed = false;

  get disposed(): boolean {
    return this.#disposed;
  }

  defer(undo: Undo): void {
    this.#refuseIfDisposed();
    this.#undo.push(undo);
  }

  #refuseIfDisposed(): void {
    if (this.#disposed)
      throw new ReferenceError("Cannot use a stack: it is disposed, expected one that is not");
  }

  adopt<T>(value: T, undo: (value: T) => unknown): T {
    this.defer(() => undo(value));
    return value;
  }

  /** Hands everything over to another stack. */
  moveTo<S extends UndoStack>(other: S): S {
    this.#refuseIfDisposed();
    for (const undo of this.takeAll().toReversed()) other.defer(undo);
    return other;
  }

  /** Everything, the last one first; from now on the stack is disposed. */
  takeAll(): Undo[] {
    const taken = this.#undo.toReversed();
    this.#undo = [];
    this.#disposed = true;
    return taken;
  }
}

/** `DisposableStack` as ECMAScript has it. */
export class PortableDisposableStack extends UndoStack implements Disposable {
  readonly [Symbol.toStringTag] = "DisposableStack";

  use<T extends Disposable | null | undefined>(value: T): T {
    if (value !== null && value !== undefined) this.defer(methodOf(value, value[Symbol.dispose]));
    return value;
  }

  move(): PortableDisposableStack {
    return this.moveTo(new PortableDisposableStack());
  }

  dispose(): void {
    const failures = new Failures();
    for (const undo of this.takeAll()) {
      try {
        undo();
      } catch (error) {
        failures.add(error);
      }
    }
    failures.throwIfAny();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** `AsyncDisposableStack` as ECMAScript has it. */
export class PortableAsyncDisposableStack extends UndoStack implements AsyncDisposable {
  readonly [Symbol.toStringTag] = "AsyncDisposableStack";

  use<T extends AsyncDisposable | Disposable | null | undefined>(value: T): T {
    if (value === null || value === undefined) return value;
    const { [Symbol.asyncDispose]: disposeAsync, [Symbol.dispose]: dispose } = value as Partial<
      AsyncDisposable & Disposable
    >;
    this.defer(methodOf(value, disposeAsync ?? dispose));
    return value;
  }

  move(): PortableAsyncDisposableStack {
    return this.moveTo(new PortableAsyncDisposableStack());
  }

  async disposeAsync(): Promise<void> {
    const failures = new Failures();
    for (const undo of this.takeAll()) {
      try {
        await undo();
      } catch (error) {
        failures.add(error);
      }
    }
    failures.throwIfAny();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync();
  }
}

/** The runtime's own, or the one above. */
export const DisposableStack: DisposableStackConstructor = /* @__PURE__ */ (() =>
  globalThis.DisposableStack ?? PortableDisposableStack)();

/** The runtime's own, or the one above. */
export const AsyncDisposableStack: AsyncDisposableStackConstructor = /* @__PURE__ */ (() =>
  globalThis.AsyncDisposableStack ?? PortableAsyncDisposableStack)();

function methodOf(value: object, method: Undo | undefined): Undo {
  if (typeof method !== "function")
    throw new TypeError("Cannot use a value in a stack: it has no method to dispose of it, expected one");
  return () => method.call(value);
}

/** What was thrown; of several, each suppresses the one before. */
class Failures {
  #error: unknown;
  #isAny = false;

  add(error: unknown): void {
    this.#error = this.#isAny ? suppressedError(error, this.#error) : error;
    this.#isAny = true;
  }

  throwIfAny(): void {
    if (this.#isAny) throw this.#error;
  }
}

function suppressedError(error: unknown, suppressed: unknown): Error {
  if (typeof SuppressedError === "function") return new SuppressedError(error, suppressed);
  return Object.assign(new Error(), { name: "SuppressedError", error, suppressed });
}
