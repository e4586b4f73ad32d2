/**
 * Waits for a promise or for an abort, whichever is first.
 *
 * @param promise - What to wait for.
 * @param signal - Ends the wait, which then rejects with `signal.reason`.
 * @returns What the promise comes to.
 */
export function abortable<Result>(
  promise: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => reject(signal.reason as Error);
    const settle = (): void => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(settle);
  });
}

/**
 * Makes a signal that aborts with the first of several. Unlike that of `AbortSignal.any()` it costs nothing to look at,
 * which these runs do some ten million times; and it has to be let go.
 *
 * @param signals - Any of them may be absent.
 * @returns The signal; disposing of it ends its ties to the others.
 */
export function joinSignals(
  ...signals: readonly (AbortSignal | undefined)[]
): Disposable & { signal: AbortSignal } {
  const joined = new AbortController();
  const stops = signals.map((signal) => {
    const stop = (): void => joined.abort(signal?.reason);
    if (signal?.aborted === true) stop();
    signal?.addEventListener("abort", stop, { once: true });
    return () => signal?.removeEventListener("abort", stop);
  });
  return {
    signal: joined.signal,
    [Symbol.dispose]: () => stops.forEach((stop) => stop()),
  };
}
