import { parseArgs } from "node:util";
import { backendNames, defaultSettings, type LabSettings } from "./lab-settings.ts";

/** What the command line asks for. */
export interface LabArguments extends LabSettings {
  /** How many hosts, 2 to 64. */
  readonly hosts: number;
  /** Run the checks once, print, end. */
  readonly once: boolean;
  /** One JSON object on standard output; implies `once`. */
  readonly json: boolean;
  /** Print the usage. */
  readonly help: boolean;
}

/** What `--help` prints. */
export const USAGE = `npm run lab -- [--hosts N] [--backend udp|vxlan|host-gw] [--dual-stack] [--mtu N] [--nat] [--store memory|etcd] [--kernel-path auto|off] [--once] [--json]

Runs a whole overlay network on this machine: N hosts, each a network namespace.

  --hosts N   how many hosts, 2 to 64 (default 3)
  --backend B how packets travel between hosts: udp (default), inside datagrams that Loden carries;
              vxlan, inside datagrams that the kernel carries; or host-gw, as they are, over routes
  --dual-stack
              IPv6 beside IPv4
  --mtu N     longest packet of the network between the hosts, in bytes (default 1500, 9001 is a common jumbo size)
  --nat       a host outside the overlay, to which containers reach out with their host's address
  --kernel-path off
              with udp, keep the kernel from carrying packets by itself: all go through Loden's userspace
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
 * @throws {RangeError} for a number of hosts, or another value, that can't be.
 */
export function parseArguments(args: readonly string[]): LabArguments {
  const { values } = readOptions(args);
  if (!/^\d+$/.test(values.hosts) || Number(values.hosts) < 2 || Number(values.hosts) > 64) {
    throw new RangeError(
      `Cannot start the lab: --hosts is "${values.hosts}", expected a number from 2 to 64`,
    );
  }
  const { store } = values;
  if (store !== "memory" && store !== "etcd") {
    throw new RangeError(`Cannot start the lab: --store is "${store}", expected memory or etcd`);
  }
  const kernelPath = values["kernel-path"];
  if (kernelPath !== "auto" && kernelPath !== "off") {
    throw new RangeError(`Cannot start the lab: --kernel-path is "${kernelPath}", expected auto or off`);
  }
  const backend = backendNames.find((name) => name === values.backend);
  if (backend === undefined) {
    throw new RangeError(
      `Cannot start the lab: --backend is "${values.backend}", expected ${backendNames.join(", ")}`,
    );
  }
  const dualStack = values["dual-stack"];
  return {
    hosts: Number(values.hosts),
    backend,
    dualStack,
    mtu: readMtu(values.mtu, dualStack),
    nat: values.nat,
    kernelPath,
    store,
    once: values.once || values.json,
    json: values.json,
    help: values.help,
  };
}

function readOptions(args: readonly string[]) {
  const options = {
    hosts: { type: "string", default: "3" },
    backend: { type: "string", default: defaultSettings.backend },
    "dual-stack": { type: "boolean", default: false },
    mtu: { type: "string", default: String(defaultSettings.mtu) },
    nat: { type: "boolean", default: false },
    "kernel-path": { type: "string", default: defaultSettings.kernelPath },
    store: { type: "string", default: defaultSettings.store },
    once: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  } as const;
  try {
    return parseArgs({ args: [...args], options });
  } catch (error) {
    throw new TypeError(`Cannot start the lab: ${(error as Error).message}`, { cause: error });
  }
}

/** What is left for containers, after 70 bytes at most, has to be enough for their IP: 576 bytes for IPv4, 1280 for IPv6. */
function readMtu(text: string, dualStack: boolean): number {
  const least = dualStack ? 1350 : 646;
  if (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= 65_535) return Number(text);
  throw new RangeError(`Cannot start the lab: --mtu is "${text}", expected a number from ${least} to 65535`);
}
