import { parseArgs } from "node:util";
import type { StoreName } from "./open-storage.ts";

/** What the command line asks for. */
export interface LabArguments {
  /** How many hosts, 2 to 64. */
  readonly hosts: number;
  /** Where leases are kept. */
  readonly store: StoreName;
  /** Run the checks once, print, end. */
  readonly once: boolean;
  /** One JSON object on standard output; implies `once`. */
  readonly json: boolean;
  /** Print the usage. */
  readonly help: boolean;
}

/** What `--help` prints. */
export const USAGE = `npm run lab -- [--hosts N] [--store memory|etcd] [--once] [--json]

Runs a whole overlay network on this machine: N hosts, each a network namespace.

  --hosts N   how many hosts, 2 to 64 (default 3)
  --store S   where leases are kept: memory (default), or etcd: a real one, started for the lab
  --once      run the checks, print them, end with 0 when all is well, else 1
              (the default when standard output is no terminal)
  --json      like --once, and prints one JSON object on standard output`;

/**
 * Reads the lab's command line.
 *
 * @param args the arguments, without node and the script.
 * @returns what it asks for.
 * @throws {TypeError} for an option that does not exist.
 * @throws {RangeError} for a number of hosts or a store that can't be.
 */
export function parseArguments(args: readonly string[]): LabArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      hosts: { type: "string", default: "3" },
      store: { type: "string", default: "memory" },
      once: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (!/^\d+$/.test(values.hosts) || Number(values.hosts) < 2 || Number(values.hosts) > 64) {
    throw new RangeError(
      `Cannot start the lab: --hosts is "${values.hosts}", expected a number from 2 to 64`,
    );
  }
  const { store } = values;
  if (store !== "memory" && store !== "etcd") {
    throw new RangeError(`Cannot start the lab: --store is "${store}", expected memory or etcd`);
  }
  return {
    hosts: Number(values.hosts),
    store,
    once: values.once || values.json,
    json: values.json,
    help: values.help,
  };
}
