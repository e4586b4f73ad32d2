import { setImmediate } from "node:timers/promises";

const mostAtOnce = 4_096;

/**
 * Groups what is ready at one time, so that a burst is handled once. Reads at most one item ahead while the consumer is
 * busy with a group. To end it early, end the source by its own signal: a read may be pending.
 *
 * @param source - Anything async.
 * @returns Its items in order, in groups of at least one.
 */
export async function* takeReady<Item>(
  source: AsyncGenerator<Item, void, undefined>,
): AsyncGenerator<readonly Item[], void, undefined> {
  let pending = read(source);
  for (;;) {
    const items: Item[] = [];
    let result: IteratorResult<Item, void> | undefined = await pending;
    while (result?.done === false) {
      items.push(result.value);
      pending = read(source);
      result = items.length < mostAtOnce ? await readyNow(pending) : undefined;
    }
    if (items.length > 0) yield items;
    if (result?.done === true) return;
  }
}

function read<Item>(source: AsyncGenerator<Item, void, undefined>): Promise<IteratorResult<Item, void>> {
  const pending = source.next();
  // Nobody may be waiting when it fails; whoever awaits it later still gets the error.
  pending.catch(() => {});
  return pending;
}

/** `undefined` when it takes longer than a turn of the event loop, or fails. */
export function readyNow<Result>(pending: Promise<Result>): Promise<Result | undefined> {
  return Promise.race([pending, setImmediate(undefined)]).catch(() => undefined);
}
