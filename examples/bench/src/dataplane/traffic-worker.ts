/**
 * A thread of a traffic agent: does one job after the other.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { sendSpread } from "../peers/send-spread.ts";
import type { TrafficCells } from "./traffic-cells.ts";
import { ping, receiveTcp, receiveUdp, sendUdp } from "./traffic-jobs.ts";

const jobs: Jobs = { ping, receiveTcp, receiveUdp, sendSpread, sendUdp };

/** The jobs by name. */
export interface Jobs {
  readonly ping: typeof ping;
  readonly receiveTcp: typeof receiveTcp;
  readonly receiveUdp: typeof receiveUdp;
  readonly sendSpread: typeof sendSpread;
  readonly sendUdp: typeof sendUdp;
}
/** What a job is called. */
export type JobName = keyof Jobs;
/** What a job takes. */
export type JobOptions<Name extends JobName> = Parameters<Jobs[Name]>[0];

const cells = workerData as TrafficCells;
parentPort?.on("message", ({ name, options }: { name: JobName; options: never }) => {
  try {
    const result = jobs[name](options, cells);
    parentPort?.postMessage({ result });
  } catch (error) {
    parentPort?.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
