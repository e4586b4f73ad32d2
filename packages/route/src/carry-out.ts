import { KernelError } from "@loden/linux";
import type { CallOptions, Rtnetlink } from "@loden/rtnetlink";
import type { StateObject } from "./desired-state.ts";
import type { StateFailure } from "./state-errors.ts";
import { hasManyFarEnds } from "./plan/state-key.ts";
import type { StateChange } from "./plan/state-plan.ts";

/** What came of changes. */
export interface Outcome {
  /** Changes that are carried out. */
  readonly done: readonly StateChange[];
  /** Objects that the kernel refused to add, change or remove. */
  readonly failures: readonly StateFailure[];
}

/** Carries changes out in their order, those of one type that follow each other in batches, whether or not some are refused. */
export async function carryOut(
  rtnetlink: Rtnetlink,
  changes: readonly StateChange[],
  options: CallOptions,
): Promise<Outcome> {
  const done: StateChange[] = [];
  const failures: StateFailure[] = [];
  for (const run of runs(changes)) {
    const errors = await carryOutRun(rtnetlink, run, options);
    for (const [index, change] of run.entries()) {
      const error = errors[index];
      if (error && !isDoneAnyway(change, error)) failures.push({ object: change.object, error });
      else done.push(change);
    }
  }
  return { done, failures };
}

/** Splits changes where the type of object changes. */
function* runs(changes: readonly StateChange[]): Generator<readonly StateChange[]> {
  let start = 0;
  for (let index = 1; index <= changes.length; index++) {
    if (changes[index]?.object.type === changes[start]?.object.type) continue;
    yield changes.slice(start, index);
    start = index;
  }
}

type Errors = (Error | undefined)[];

async function carryOutRun(
  rtnetlink: Rtnetlink,
  run: readonly StateChange[],
  options: CallOptions,
): Promise<Errors> {
  switch (run[0]!.object.type) {
    case "link":
      return changeLinks(rtnetlink, run, options);
    case "address":
      return batch(run, addressSteps, (steps) => rtnetlink.addresses.change(steps, options));
    case "neighbour":
      return batch(run, neighbourSteps, (steps) => rtnetlink.neighbours.change(steps, options));
    case "fdb":
      return batch(run, fdbSteps, (steps) => rtnetlink.fdb.change(steps, options));
    case "route":
      return batch(run, routeSteps, (steps) => rtnetlink.routes.change(steps, options));
  }
}

async function changeLinks(
  { links }: Rtnetlink,
  run: readonly StateChange[],
  options: CallOptions,
): Promise<Errors> {
  const errors: Errors = [];
  for (const { verb, object, settings = {} } of run) {
    const { link } = object as StateObject & { type: "link" };
    const { name, kind = "", up = true } = link;
    const change =
      verb === "add"
        ? links.add({ ...link, kind, up }, options)
        : verb === "replace"
          ? links.set(name, settings, options)
          : links.delete(name, options);
    errors.push(
      await change.then(
        () => undefined,
        (error: Error) => error,
      ),
    );
  }
  return errors;
}

/** Sends the steps of all changes together; a change has met the error of its last step. */
async function batch<T>(
  run: readonly StateChange[],
  stepsOf: (change: StateChange) => readonly T[],
  send: (steps: readonly T[]) => Promise<Errors>,
): Promise<Errors> {
  const steps: T[] = [];
  const ends: number[] = [];
  for (const change of run) ends.push(steps.push(...stepsOf(change)) - 1);
  try {
    const errors = await send(steps);
    return ends.map((end) => errors[end]);
  } catch (error) {
    // One that can't be written as a message, of which none was sent: each by itself then, so that it costs no other.
    if (!isMalformed(error)) throw error;
    if (run.length === 1) return [error];
    const errors: Errors = [];
    for (const change of run) errors.push(...(await batch([change], stepsOf, send)));
    return errors;
  }
}

/** What the encoder says of an object that is none, such as one with a MAC address of five bytes. */
function isMalformed(error: unknown): error is SyntaxError | RangeError {
  return error instanceof SyntaxError || error instanceof RangeError;
}

type Step<T extends keyof Rtnetlink> = Rtnetlink[T] extends {
  change(changes: Iterable<infer S>, options?: CallOptions): unknown;
}
  ? S
  : never;

/** The kernel changes no address in place. */
function addressSteps({ verb, object, current }: StateChange): Step<"addresses">[] {
  const { address } = object as StateObject & { type: "address" };
  if (verb === "remove") return [{ verb: "delete", address }];
  const add = { verb: "add", address } as const;
  return current?.type === "address" ? [{ verb: "delete", address: current.address }, add] : [add];
}

/** What is on our link is ours: also what the kernel learnt meanwhile gives way. */
function neighbourSteps({ verb, object }: StateChange): Step<"neighbours">[] {
  const { neighbour } = object as StateObject & { type: "neighbour" };
  return [{ verb: verb === "remove" ? "delete" : "replace", neighbour }];
}

function fdbSteps({ verb, object, current }: StateChange): Step<"fdb">[] {
  const { entry } = object as StateObject & { type: "fdb" };
  if (verb === "remove") return [{ verb: "delete", entry }];
  if (!hasManyFarEnds(entry.mac)) return [{ verb: "replace", entry }];
  const append = { verb: "append", entry } as const;
  return current?.type === "fdb" ? [{ verb: "delete", entry: current.entry }, append] : [append];
}

function routeSteps({ verb, object }: StateChange): Step<"routes">[] {
  const { route } = object as StateObject & { type: "route" };
  return [{ verb: verb === "remove" ? "delete" : verb, route }];
}

/** What is gone already is removed, and an address that is there is added. */
function isDoneAnyway({ verb, object }: StateChange, error: Error): boolean {
  if (!(error instanceof KernelError)) return false;
  const { code } = error;
  if (verb === "remove") return code !== undefined && absent.has(code);
  return object.type === "address" && code === "EEXIST";
}

const absent: ReadonlySet<string> = new Set(["ESRCH", "ENOENT", "EADDRNOTAVAIL", "ENODEV"]);
