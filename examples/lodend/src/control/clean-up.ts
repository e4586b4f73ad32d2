import { rmSync } from "node:fs";
import { parsePrefix } from "@loden/ip";
import { LODEN_PROTOCOL } from "@loden/route";
import { formatRoute, type ListedRoute, type Rtnetlink } from "@loden/rtnetlink";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import type { Settings } from "../flags/read-settings.ts";
import { readSubnetFile } from "../write-subnet-file.ts";
import { deleteRecord, isRunning, readRecords, type RunRecord } from "./run-record.ts";

/** Kinds of devices that backends make. */
const KINDS = new Set(["tun", "vxlan", "wireguard"]);

/** What {@link cleanUp} works on. */
export interface CleanUpSources {
  readonly settings: Pick<Settings, "name" | "controlSocket">;
  readonly rtnetlink: Pick<Rtnetlink, "links" | "routes">;
  /** Deletes a firewall table and what belongs to it; says whether there was something. */
  clearFirewall(table: string): Promise<boolean>;
  /** The firewall table of this `--name`. */
  readonly firewallTable: string;
}

/**
 * Removes everything that daemons of this host made and that are gone, however they ended: routes of Loden's protocol number, devices, firewall
 * tables, `subnet.env` where it still is as it was written, control sockets and records. What belongs to a daemon of another name that runs stays.
 *
 * @param sources what to work on.
 * @returns what was removed, in words.
 * @throws {LodendError} with the control code while the daemon of this name runs.
 */
export async function cleanUp(sources: CleanUpSources): Promise<string[]> {
  const { settings, rtnetlink } = sources;
  const records = readRecords(settings.controlSocket);
  const running = records.filter(isRunning);
  const own = running.find(({ controlSocket }) => controlSocket === settings.controlSocket);
  if (own !== undefined) {
    throw new LodendError(
      ExitCode.control,
      `Cannot clean up: lodend "${own.name}" (process ${own.pid}) runs, expected none of that name; stop it first`,
    );
  }
  const gone = records.filter((record) => !running.includes(record));
  const devices = new Set(running.flatMap((record) => record.devices ?? []));
  const removed = [
    ...(await removeRoutes(rtnetlink, (route) => running.some((record) => isRouteOf(record, route)))),
    ...(await removeDevices(rtnetlink, devices, gone)),
  ];
  const kept = new Set(running.map(({ firewallTable }) => firewallTable));
  const tables = new Set([sources.firewallTable, ...gone.map(({ firewallTable }) => firewallTable)]);
  for (const table of tables) {
    if (!kept.has(table) && (await sources.clearFirewall(table))) removed.push(`firewall table ${table}`);
  }
  for (const record of gone) removed.push(...removeFiles(record));
  return removed;
}

async function removeRoutes(
  { routes }: Pick<Rtnetlink, "routes">,
  isInUse: (route: ListedRoute) => boolean,
): Promise<string[]> {
  const listed = await routes.list({ table: "all", protocol: LODEN_PROTOCOL });
  const stale = listed.filter((route) => !isInUse(route));
  await routes.deleteMany(stale);
  return stale.map((route) => `route ${formatRoute(route)}`);
}

/** Into its network, or out of its device. */
function isRouteOf({ devices = [], networks = [] }: RunRecord, { destination, link }: ListedRoute): boolean {
  return (
    (link !== undefined && devices.includes(link)) ||
    networks.some((network) => parsePrefix(network).contains(destination))
  );
}

async function removeDevices(
  { links }: Pick<Rtnetlink, "links">,
  devices: ReadonlySet<string>,
  gone: readonly RunRecord[],
): Promise<string[]> {
  const named = new Set(gone.flatMap((record) => record.devices ?? []));
  const stale = (await links.list()).filter(({ name, kind }) => {
    const isOurs = named.has(name) || /^loden(\d|\.|-v6\.)/.test(name);
    return isOurs && !devices.has(name) && KINDS.has(kind ?? "");
  });
  for (const { name } of stale) await links.delete(name);
  return stale.map(({ name }) => `device ${name}`);
}

function removeFiles(record: RunRecord): string[] {
  const { controlSocket, subnetFile, subnetEnv } = record;
  const removed: string[] = [];
  if (subnetEnv !== undefined && readSubnetFile(subnetFile) === subnetEnv) {
    rmSync(subnetFile);
    removed.push(`file ${subnetFile}`);
  }
  rmSync(controlSocket, { force: true });
  deleteRecord(record);
  return [...removed, `control socket and record of "${record.name}"`];
}
