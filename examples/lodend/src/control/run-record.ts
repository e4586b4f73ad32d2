import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { NetworkConfig } from "@loden/subnet";

/** What a daemon made on this host, kept in a file so that `cleanup` finds it after a crash. */
export interface RunRecord {
  /** The `--name`. */
  readonly name: string;
  readonly pid: number;
  /** When the process started, in the kernel's own count: a number that is used again belongs to another process. */
  readonly processStart: string;
  readonly controlSocket: string;
  readonly subnetFile: string;
  /** What was written there; a file that says something else is somebody else's by now. */
  readonly subnetEnv?: string | undefined;
  /** The tunnel's devices. */
  readonly devices?: readonly string[] | undefined;
  /** The overlay's networks, as text: routes into them are this daemon's. */
  readonly networks?: readonly string[] | undefined;
  readonly firewallTable: string;
}

/**
 * Says where the record of a control socket's daemon is kept: beside it.
 *
 * @param controlSocket the socket's path.
 */
export function recordPath(controlSocket: string): string {
  return `${controlSocket.replace(/\.sock$/, "")}.json`;
}

/**
 * Begins the record of this process.
 *
 * @param made what is certain at the start.
 * @returns the record; `note` adds to it and writes it.
 */
export function createRunRecord(
  made: Pick<RunRecord, "name" | "controlSocket" | "subnetFile" | "firewallTable">,
): { note(more: Pick<RunRecord, "subnetEnv" | "devices" | "networks">): void } {
  let record: RunRecord = { ...made, pid: process.pid, processStart: processStartOf(process.pid) ?? "" };
  writeRecord(record);
  return {
    note(more) {
      record = { ...record, ...more };
      writeRecord(record);
    },
  };
}

/**
 * Names the networks of an overlay, of both families.
 *
 * @param network its configuration.
 */
export function networksOf({ ipv4, ipv6 }: NetworkConfig): string[] {
  return [ipv4, ipv6].flatMap((family) => family?.network.toString() ?? []);
}

/**
 * Writes a record; readers see the old one or the new one.
 *
 * @param record what was made.
 */
export function writeRecord(record: RunRecord): void {
  const path = recordPath(record.controlSocket);
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

/**
 * Reads the records beside a control socket, its own and those of other daemons; what can't be read is left out.
 *
 * @param controlSocket the socket's path.
 * @returns the records.
 */
export function readRecords(controlSocket: string): RunRecord[] {
  const folder = dirname(controlSocket);
  return listFolder(folder)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => parseRecord(join(folder, file)) ?? []);
}

/**
 * Deletes the record of a daemon.
 *
 * @param record whose.
 */
export function deleteRecord(record: RunRecord): void {
  rmSync(recordPath(record.controlSocket), { force: true });
}

/**
 * Says whether the process that wrote a record still runs.
 *
 * @param record whose.
 */
export function isRunning({ pid, processStart }: RunRecord): boolean {
  return processStartOf(pid) === processStart;
}

/**
 * Reads when a process started, in clock ticks since the machine did: field 22 of proc_pid_stat(5).
 *
 * @param pid its number.
 * @returns the count, or `undefined` when there is no such process.
 */
export function processStartOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold spaces and parentheses.
    const [state, ...fields] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

function parseRecord(path: string): RunRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(path, "utf8")) as RunRecord;
    const texts = [record.name, record.processStart, record.controlSocket, record.subnetFile];
    const isRecord = texts.every((text) => typeof text === "string") && Number.isInteger(record.pid);
    return isRecord && recordPath(record.controlSocket) === path ? record : undefined;
  } catch {
    return undefined;
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
