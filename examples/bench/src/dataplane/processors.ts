import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** The processors that this run pins to: the sender and the wire to one, the receiver to the other. */
export interface Processors {
  readonly left: number;
  readonly right: number;
}

/** The first two processors that this process may use, or `undefined` when there is only one. */
export function chooseProcessors(): Processors | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const [left, right] = list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return left === undefined || right === undefined ? undefined : { left, right };
}

/** The words that start a command on a processor, where it is to be pinned. */
export function placed(command: readonly string[], processor: number | undefined): [string, ...string[]] {
  const pin = processor === undefined ? [] : ["taskset", "-c", String(processor)];
  return [...pin, ...command] as [string, ...string[]];
}

/** Pins a thread of the kernel to a processor; false when that is not allowed. */
export function pinThread(thread: number, processor: number): boolean {
  return spawnSync("taskset", ["-pc", String(processor), String(thread)]).status === 0;
}

/** Lets a thread run before any process, as soft interrupts do (SCHED_FIFO); false when that is not allowed. */
export function letGoFirst(thread: number): boolean {
  return spawnSync("chrt", ["--fifo", "--pid", "1", String(thread)]).status === 0;
}

/**
 * Finds threads of the kernel by their name.
 *
 * @param name e.g. `/^napi\/eth0-/` for the NAPI threads of a device, `/^ksoftirqd\/1$/` for the soft interrupts of a processor.
 * @returns their ids.
 */
export function findKernelThreads(name: RegExp): readonly number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((id) => name.test(readOrEmpty(`/proc/${id}/comm`).trim()));
}

/**
 * Reads how long the threads of processes have run on a processor, in nanoseconds: the scheduler's own account.
 *
 * A soft interrupt that comes while a thread runs counts as that thread's; where NAPI is threaded that is little.
 *
 * @param processes process ids, or ids of kernel threads.
 * @returns the sum over all their threads.
 */
export function runTimeOf(processes: readonly number[]): number {
  let sum = 0;
  for (const id of processes) {
    for (const thread of threadsOf(id)) {
      sum += Number(readOrEmpty(`/proc/${id}/task/${thread}/schedstat`).split(" ")[0] ?? 0);
    }
  }
  return sum;
}

function threadsOf(id: number): readonly string[] {
  try {
    return readdirSync(`/proc/${id}/task`);
  } catch {
    return [];
  }
}

// A thread may end between being listed and being read.
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
