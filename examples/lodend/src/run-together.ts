/**
 * Runs tasks until all have ended. The first that fails stops the others; its error is thrown once they have ended. What the others throw because
 * they were stopped is dropped.
 *
 * @param tasks each is given the signal that stops it.
 * @param stop stops all of them.
 */
export async function runTogether(
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
  stop: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  let failure: { readonly error: unknown } | undefined;
  await Promise.all(
    tasks.map((task) =>
      task(signal).catch((error: unknown) => {
        if (signal.aborted) return;
        failure = { error };
        failed.abort();
      }),
    ),
  );
  if (failure !== undefined) throw failure.error;
}
