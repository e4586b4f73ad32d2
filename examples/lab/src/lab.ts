import type { Address, AddressFamily } from "@loden/ip";
import type { NodeEvent } from "@loden/lodend";
import { describeEvent } from "./describe-event.ts";
import { configOf, familiesOf, type LabSettings } from "./lab-settings.ts";
import { startHost, type LabHost } from "./lab-host.ts";
import { openStorage } from "./open-storage.ts";
import { sendDatagram } from "./send-datagram.ts";
import { transfer, type TransferResult } from "./transfer.ts";
import { makeUnderlay } from "./underlay.ts";

/** How long a datagram may take. */
const DATAGRAM_MS = 1_000;

/** A whole overlay on one machine. */
export interface Lab {
  readonly settings: LabSettings;
  /** The address families of the overlay. */
  readonly families: readonly AddressFamily[];
  /** All hosts, the stopped ones too, in the order in which they joined. */
  readonly hosts: readonly LabHost[];
  /** Starts one more host. */
  addHost(): Promise<LabHost>;
  /**
   * Pings from the first container of a host to the first of another.
   * @returns milliseconds, or `null` when no answer came.
   */
  ping(from: LabHost, to: LabHost, timeoutMs: number, family?: AddressFamily): Promise<number | null>;
  /**
   * Moves bytes over TCP from the first container of a host to the second of another.
   * @throws {Error} when a host is stopped, or after a minute.
   */
  transfer(from: LabHost, to: LabHost, bytes: number, options?: TransferSettings): Promise<TransferResult>;
  /**
   * Sends a UDP datagram from the first container of a host to the second of another, or to the host outside.
   * @returns the source address that arrives with it, or `null` when it does not arrive whole.
   */
  datagram(
    from: LabHost,
    to: LabHost | "outside",
    bytes: number,
    family: AddressFamily,
  ): Promise<Address | null>;
  /** Stops all hosts and removes everything. */
  close(): Promise<void>;
}

/** Settings of {@link Lab.transfer}. */
export interface TransferSettings {
  /** Default IPv4. */
  readonly family?: AddressFamily | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes an overlay without hosts: a switch, and a storage for leases.
 *
 * @param settings which kind of overlay.
 * @param onEvent told what happens, in words.
 * @returns the lab; the caller closes it.
 */
export async function openLab(settings: LabSettings, onEvent: (text: string) => void): Promise<Lab> {
  await using undo = new AsyncDisposableStack();
  const storage = undo.use(await openStorage(settings.store, configOf(settings)));
  const underlay = await makeUnderlay(settings);
  undo.defer(() => underlay.close());
  const hosts: LabHost[] = [];
  undo.defer(async () => void (await Promise.all(hosts.map((host) => host.stop()))));
  let started = 0;

  async function addHost(): Promise<LabHost> {
    const host = await startHost({
      number: ++started,
      settings,
      underlay,
      store: storage.open(),
      onEvent: (name: string, event: NodeEvent) => onEvent(`${name}: ${describeEvent(event)}`),
      onFailure: (name, error) => onEvent(`${name}: FAILED: ${(error as Error).message}`),
    });
    hosts.push(host);
    return host;
  }

  async function datagram(
    from: LabHost,
    to: LabHost | "outside",
    bytes: number,
    family: AddressFamily,
  ): Promise<Address | null> {
    const [source] = from.containers;
    const target = to === "outside" ? underlay.outside : to.containers[1];
    const address = target?.addresses.find((one) => one.family === family);
    if (source === undefined || target === undefined || address === undefined) return null;
    const { netns } = target;
    return await sendDatagram({ from: source.netns, to: { netns, address }, bytes, timeoutMs: DATAGRAM_MS });
  }

  const held = undo.move();
  return {
    settings,
    families: familiesOf(settings),
    hosts,
    addHost,
    ping,
    transfer: move,
    datagram,
    close: () => held.disposeAsync(),
  };
}

async function ping(
  from: LabHost,
  to: LabHost,
  timeoutMs: number,
  family: AddressFamily = 4,
): Promise<number | null> {
  const target = to.containers[0]?.addresses.find((address) => address.family === family);
  return target === undefined ? null : await from.ping(target, timeoutMs);
}

async function move(
  from: LabHost,
  to: LabHost,
  bytes: number,
  { family = 4, signal }: TransferSettings = {},
): Promise<TransferResult> {
  const [source] = from.containers;
  const target = to.containers[1];
  const address = target?.addresses.find((one) => one.family === family);
  if (source === undefined || target === undefined || address === undefined) {
    throw new Error(
      `Cannot move bytes from ${from.name} to ${to.name}: one of them is stopped, expected both up`,
    );
  }
  const ends = [
    from.stopping,
    to.stopping,
    AbortSignal.timeout(60_000),
    ...(signal === undefined ? [] : [signal]),
  ];
  const end = { netns: target.netns, address };
  return await transfer({ from: source.netns, to: end, bytes, signal: AbortSignal.any(ends) });
}
