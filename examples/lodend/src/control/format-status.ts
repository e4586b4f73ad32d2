import type { KernelPathState } from "@loden/backend-udp";
import type { DeviceStatus } from "../underlay/describe-device.ts";
import type { Offloads } from "../underlay/read-offloads.ts";
import type { PeerStatus, Status, Traffic } from "./status.ts";

/**
 * Writes a status for humans.
 *
 * @param status as the daemon tells it.
 * @param nowMs the time, in milliseconds since 1970.
 * @returns lines.
 */
export function formatStatus(status: Status, nowMs: number = Date.now()): string {
  const { lease, network, subnet, kernelPath, traffic, forged } = status;
  const ends = ["lease " + lease.state, untilText(lease.expiresAt, nowMs)].filter((text) => text !== "");
  const lines = [
    `lodend ${status.version} "${status.name}" (process ${status.pid}) is ${status.ready ? "ready" : "NOT ready"}`,
    row("subnet", subnet && `${subnet} of ${network}, ${ends.join(", ")}`),
    row("address", addressText(status)),
    row("underlay", status.underlay && underlayText(status.underlay)),
    row(
      "device",
      status.backend && `${status.device ?? "none"}, MTU ${status.mtu}, backend ${status.backend}`,
    ),
    row("packets", kernelPath && kernelPathText(kernelPath)),
    row("sent", traffic && trafficText(traffic.outbound)),
    row("received", traffic && trafficText(traffic.inbound)),
    row("forged", forged.packets > 0 && `${forged.packets} datagrams of containers, dropped`),
    ...peerLines(status, nowMs),
    ...section("wrong", status.problems),
    ...section("worth a look", status.warnings),
  ];
  return lines.filter((line) => line !== undefined).join("\n");
}

function addressText({ publicIP, publicIPv6, interface: link }: Status): string | undefined {
  const addresses = [publicIP, publicIPv6].filter((address) => address !== undefined);
  return link && `${addresses.join(" and ") || "none yet"}, interface ${link}`;
}

function underlayText({ kind, mtu, offloads }: DeviceStatus): string {
  const names = (isOn: boolean): string =>
    Object.entries(offloadNames)
      .filter(([key]) => offloads[key as keyof Offloads] === isOn)
      .map(([, name]) => name)
      .join(", ") || "none";
  return `${kind}, MTU ${mtu}; offloads: ${names(true)}; without: ${names(false)}`;
}

const offloadNames: Readonly<Record<keyof Offloads, string>> = {
  txChecksum: "checksums",
  tso: "TSO",
  gso: "GSO",
  udpSegmentation: "UDP segmentation",
  udpTunnelSegmentation: "UDP tunnel segmentation",
  gro: "GRO",
};

/** What is plain, and who is able, `docs/kernel-path.md` tells. */
function kernelPathText(state: KernelPathState): string {
  if (!state.on) return `all through this process: ${state.reason}`;
  const takes = { all: "takes all", acks: "takes TCP acknowledgements" }[state.decapsulates];
  const sends = { all: "sends to all peers", able: "sends to able peers" }[state.encapsulatesFor];
  return `plain ones in the kernel (${takes}, ${sends}), the rest through this process`;
}

function row(name: string, text: string | false | undefined): string | undefined {
  return text ? `  ${name.padEnd(9)} ${text}` : undefined;
}

function trafficText({ packets, bytes, dropped }: Traffic): string {
  const drops = Object.entries(dropped).filter(([, count]) => count > 0);
  const text = drops.length === 0 ? "" : `; dropped: ${drops.map((pair) => pair.join(" ")).join(", ")}`;
  return `${packets} packets, ${bytes} bytes${text}`;
}

function peerLines({ peers, peersAreFresh }: Status, nowMs: number): string[] {
  const note = peersAreFresh ? "" : ", as last heard: the store does not answer";
  const rows = peers.map((peer) => peerRow(peer, nowMs));
  const widths = [0, 1].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const lines = rows.map((cells) => `  ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}`);
  return [`peers (${peers.length}${note})`, ...lines];
}

function peerRow({ subnet, publicIP, expiresAt }: PeerStatus, nowMs: number): string[] {
  const ends = expiresAt === undefined ? "reserved" : `lease ${untilText(expiresAt, nowMs)}`;
  return [subnet, publicIP ?? "no address", ends];
}

function untilText(instant: string | undefined, nowMs: number): string {
  if (instant === undefined) return "";
  const seconds = Math.round((Date.parse(instant) - nowMs) / 1_000);
  return seconds < 0 ? `ended ${spanText(-seconds)} ago` : `ends in ${spanText(seconds)}`;
}

function spanText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

function section(name: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [name, ...lines.map((line) => `  - ${line}`)];
}
