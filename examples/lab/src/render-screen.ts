import { howPacketsTravel, whatIsOutside, whoCarriesPackets } from "./explain-lab.ts";
import type { HostView, LabView, Matrix } from "./lab-view.ts";

/** How text is emphasised; plain for tests and files. */
export interface Palette {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

/** No emphasis at all. */
export const plainPalette: Palette = { bold: same, dim: same, good: same, bad: same };

/** ANSI colours, for terminals. */
export const colourPalette: Palette = {
  bold: (text) => `\u001B[1m${text}\u001B[22m`,
  dim: (text) => `\u001B[2m${text}\u001B[22m`,
  good: (text) => `\u001B[32m${text}\u001B[39m`,
  bad: (text) => `\u001B[31m${text}\u001B[39m`,
};

/**
 * Draws the lab's screen: what is so, and in a few words what it means.
 *
 * @param view what is so.
 * @param palette how to emphasise.
 * @param size columns and rows of the terminal; lines beyond are cut.
 * @returns the lines of the screen.
 */
export function renderScreen(
  view: LabView,
  palette: Palette,
  size: { readonly columns: number; readonly rows: number },
): string[] {
  const lines = [
    ...header(view, palette),
    ...hostsTable(view, palette),
    ...routesList(view, palette),
    ...rttMatrix(view, palette),
    ...outsideList(view, palette),
    ...transferList(view, palette),
    ...trafficTable(view, palette),
    ...eventList(view, palette),
  ];
  const body = lines.slice(0, Math.max(1, size.rows - 2)).map((line) => cutLine(line, size.columns));
  const keys = "keys: [1-9] select  [a] add a host  [s] stop it  [b] break its route  [q] quit";
  return [...body, "", cutLine(palette.bold(keys), size.columns)];
}

function header(view: LabView, palette: Palette): string[] {
  const carriers = whoCarriesPackets(view.hosts);
  const up = view.hosts.filter((host) => host.state === "up").length;
  return [
    palette.bold(`loden lab: ${up} of ${view.hosts.length} hosts on one overlay, ${view.network}`),
    palette.dim(
      "Each host is a network namespace of this machine, with a bridge and two containers; a switch joins the hosts.",
    ),
    palette.dim(howPacketsTravel(view.settings)),
    ...(carriers === undefined ? [] : [palette.dim(carriers)]),
    ...(view.settings.nat ? [palette.dim(whatIsOutside())] : []),
    "",
  ];
}

function hostsTable(view: LabView, palette: Palette): string[] {
  const isUdp = view.settings.backend === "udp";
  const rows = view.hosts.map((host, index) => [
    index === view.selected ? ">" : " ",
    host.name,
    stateText(host, palette),
    host.publicIP,
    host.state === "stopped" ? "given back" : (host.subnet ?? "-"),
    host.state === "stopped" ? "none" : `${host.device ?? "none"}, mtu ${host.mtu}`,
    String(host.peers),
    ...(isUdp ? [carrierText(host)] : []),
  ]);
  const carrier = isUdp ? ["carried by"] : [];
  return [
    palette.bold("hosts") + palette.dim("  each leased one subnet and published where it can be reached"),
    ...table(
      [["", "host", "state", "public address", "its subnet", "tunnel device", "peers", ...carrier], ...rows],
      palette,
    ),
    "",
  ];
}

function stateText(host: HostView, palette: Palette): string {
  if (host.state === "up") return palette.good("up");
  return host.state === "joining" ? host.state : palette.bad(host.state);
}

function carrierText({ kernelPath }: HostView): string {
  if (kernelPath === undefined) return "-";
  return kernelPath.on ? "kernel + pump" : "pump";
}

function routesList(view: LabView, palette: Palette): string[] {
  const rows = view.hosts.map((host) => [
    host.name,
    host.routes.length === 0 ? palette.bad("no route to the overlay") : host.routes.join(" | "),
  ]);
  return [
    palette.bold("routes") +
      palette.dim(
        view.settings.backend === "udp"
          ? "  the kernel sends the whole network to the tunnel device; delete one and it comes back"
          : "  one to each other host's subnet; delete them and they come back",
      ),
    ...table(rows, palette, false),
    "",
  ];
}

function rttMatrix(view: LabView, palette: Palette): string[] {
  const names = view.hosts.map((host) => host.name);
  const rows = view.hosts.map((host, from) => [
    host.name,
    ...view.hosts.map((_, to) => rttText(from, to, view, palette)),
  ]);
  return [
    palette.bold("round trip, ms") +
      palette.dim(
        `  ICMP echo from a container of the row's host to one of the column's${view.rtt.length > 1 ? ", IPv4 / IPv6" : ""}`,
      ),
    ...table([["", ...names], ...rows], palette),
    "",
  ];
}

function rttText(from: number, to: number, { rtt }: LabView, palette: Palette): string {
  if (from === to) return "·";
  const times = rtt.length === 0 ? [undefined] : rtt.map((matrix: Matrix) => matrix[from]?.[to]);
  return times.map((time) => timeText(time, palette)).join(" / ");
}

function timeText(rtt: number | null | undefined, palette: Palette): string {
  if (rtt === undefined) return "…";
  if (rtt === null) return palette.bad("none");
  return rtt.toFixed(2);
}

function outsideList({ hosts, outside }: LabView, palette: Palette): string[] {
  if (outside === undefined) return [];
  const rows = outside.map(({ seen, expected }, index) => [
    hosts[index]?.name ?? "",
    seen
      .map((source, family) => {
        if (source === undefined) return "…";
        return source === expected[family] ? palette.good(source) : palette.bad(source ?? "nothing arrives");
      })
      .join(" / "),
  ]);
  return [
    palette.bold("outside") +
      palette.dim("  which source address arrives there from a container of each host"),
    ...table(rows, palette, false),
    "",
  ];
}

function transferList({ hosts, transfers }: LabView, palette: Palette): string[] {
  const isPossible = hosts.filter(({ state }) => state === "up").length > 1;
  const rows = transfers.map((transfer) => [
    transfer.name,
    `${formatBytes(transfer.bytes)} in ${transfer.seconds.toFixed(2)} s`,
    palette.bold(formatBitRate(transfer.bytes, transfer.seconds)),
    transfer.equal ? palette.good("checksum equal") : palette.bad("CHECKSUM DIFFERS"),
  ]);
  return [
    palette.bold("TCP transfers") + palette.dim("  real bytes between containers, compared at the far end"),
    ...(rows.length === 0
      ? [isPossible ? "  the first one is under way" : "  waiting for two hosts"]
      : table(rows, palette, false)),
    "",
  ];
}

function trafficTable(view: LabView, palette: Palette): string[] {
  const rows = view.hosts.map((host) => [
    host.name,
    `${host.sent.packets} / ${formatBytes(host.sent.bytes)}`,
    `${host.received.packets} / ${formatBytes(host.received.bytes)}`,
    dropsText(host.drops),
  ]);
  return [
    palette.bold("traffic") +
      palette.dim("  packets and bytes through each tunnel, and what was dropped, with the reason"),
    ...table([["host", "sent", "received", "dropped"], ...rows], palette),
    "",
  ];
}

/** Drops as text: `noRoute 3, ttlExpired 1`. */
export function dropsText(drops: Readonly<Record<string, number>>): string {
  const seen = Object.entries(drops).filter(([, count]) => count > 0);
  return seen.length === 0 ? "none" : seen.map(([reason, count]) => `${reason} ${count}`).join(", ");
}

function eventList(view: LabView, palette: Palette): string[] {
  return [palette.bold("events"), ...view.events.slice(-6).map((event) => `  ${event}`)];
}

/** Columns as wide as their widest cell; the first row is the heading. */
function table(rows: readonly (readonly string[])[], palette: Palette, heading: boolean = true): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, visibleLength(cell))));
  }
  return rows.map((row, index) => {
    const cells = row.map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - visibleLength(cell)));
    const line = `  ${cells.join("  ").trimEnd()}`;
    return heading && index === 0 ? palette.dim(line) : line;
  });
}

// eslint-disable-next-line no-control-regex
const escapes = /\u001B\[\d+m/g;

function visibleLength(text: string): number {
  return text.replace(escapes, "").length;
}

/** Cuts a line to a number of visible characters, keeping its emphasis well-formed. */
function cutLine(line: string, columns: number): string {
  if (visibleLength(line) <= columns) return line;
  const plain = line.replace(escapes, "");
  return `${plain.slice(0, Math.max(0, columns - 1))}…`;
}

/** Bytes as text, in decimal units: `12.3 MB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A rate as text: `1.25 Gbit/s`. */
export function formatBitRate(bytes: number, seconds: number): string {
  const megabits = (bytes * 8) / seconds / 1e6;
  return megabits >= 1000 ? `${(megabits / 1000).toFixed(2)} Gbit/s` : `${megabits.toFixed(0)} Mbit/s`;
}

function same(text: string): string {
  return text;
}
