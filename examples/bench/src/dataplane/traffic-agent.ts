// A host's applications, as a process of its own: sends and receives, and reads the accounts of its host.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { runTimeOf } from "./processors.ts";
import { readDevice } from "./read-device.ts";
import { serveAgent } from "./serve-agent.ts";
import { createCells, Moved } from "./traffic-cells.ts";
import type { JobName, JobOptions } from "./traffic-worker.ts";

/** A job for one of the two threads of an agent. */
export interface JobCall<Name extends JobName = JobName> {
  readonly thread: 0 | 1;
  readonly name: Name;
  readonly options: JobOptions<Name>;
}

/** The state of a host's accounts at one moment. */
export interface Snapshot {
  /** Monotonic time in seconds. */
  readonly seconds: number;
  /** What the thread 0 has sent or received since the agent started. */
  readonly bytes: number;
  readonly packets: number;
  /** How long this process, and the processes and kernel threads that were asked for, have run: seconds. */
  readonly processorSeconds: number;
  /** Frames that the device has received, and their bytes with the Ethernet header. */
  readonly frames: number;
  readonly frameBytes: number;
}

const threads = [0, 1].map(() => {
  const cells = createCells();
  return {
    cells,
    worker: new Worker(new URL(import.meta.resolve("./traffic-worker.ts")), { workerData: cells }),
  };
});
const chunk = Buffer.alloc(128 * 1024);

serveAgent({ serveTcp, start, finish, snapshot });

/** Sends to everybody who connects, for as long as they stay. */
async function serveTcp({ port }: { port: number }): Promise<void> {
  for (const host of ["0.0.0.0", "::"]) {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      pump(socket);
    });
    server.listen({ host, port, ipv6Only: true });
    await once(server, "listening");
  }
}

function pump(socket: Socket): void {
  // The next one as soon as the kernel has taken this one.
  socket.write(chunk, (error) => {
    if (error === undefined || error === null) pump(socket);
  });
}

const results: (Promise<unknown> | undefined)[] = [];

/** Starts a job; `finish` gives its result. */
function start({ thread, name, options }: JobCall): void {
  const { worker, cells } = threads[thread] as (typeof threads)[number];
  Atomics.store(cells.stop, 0, 0);
  results[thread] = once(worker, "message").then(([answer]) => answer as unknown);
  worker.postMessage({ name, options });
}

/** Ends a job, or waits until it ends by itself, and gives its result. */
async function finish({ thread, stop }: { thread: 0 | 1; stop: boolean }): Promise<unknown> {
  if (stop) Atomics.store((threads[thread] as (typeof threads)[number]).cells.stop, 0, 1);
  const answer = (await results[thread]) as { result?: unknown; error?: string } | undefined;
  results[thread] = undefined;
  if (answer?.error !== undefined) throw new Error(answer.error);
  return answer?.result;
}

function snapshot({ processes, device }: { processes: readonly number[]; device: string }): Snapshot {
  const { moved } = (threads[0] as (typeof threads)[number]).cells;
  const { received } = readDevice(device);
  return {
    seconds: performance.now() / 1000,
    bytes: moved[Moved.bytes] ?? 0,
    packets: moved[Moved.packets] ?? 0,
    processorSeconds: runTimeOf([process.pid, ...processes]) / 1e9,
    frames: received.packets,
    frameBytes: received.bytes,
  };
}
