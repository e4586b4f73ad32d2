import {
  formatFdbEntry,
  formatLink,
  formatLinkAddress,
  formatNeighbour,
  formatRoute,
  type LinkSettings,
} from "@loden/rtnetlink";
import type { StateObject } from "../desired-state.ts";
import type { StateChange, StatePlan } from "./state-plan.ts";

/**
 * Writes a plan as the `ip` and `bridge` commands that would carry it out, one a line, in the order in which it is carried
 * out; what cannot be had is a comment.
 *
 * @param plan The plan.
 * @returns Lines such as `ip route add 10.1.0.0/16 dev loden0 proto 76`, empty when there is nothing to do.
 */
export function formatStatePlan(plan: StatePlan): string {
  return [
    ...[...plan.links, ...plan.changes].flatMap(commands),
    ...plan.conflicts.map(
      ({ object, other }) => `# conflict: ${formatObject(object)}, which is taken by ${formatObject(other)}`,
    ),
    ...plan.blocked.map(({ object, link }) => `# waiting for link ${link}: ${formatObject(object)}`),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

/**
 * Writes an object in the words of `ip` or `bridge`.
 *
 * @param object The object.
 * @returns For example `route 10.1.0.0/16 dev loden0 proto 76` or `fdb 02:00:00:00:00:01 dev loden.1 dst 192.0.2.1 self permanent`.
 */
export function formatObject(object: StateObject): string {
  switch (object.type) {
    case "link": {
      const { kind, up = true } = object.link;
      return `link ${kind === undefined ? object.link.name : formatLink({ ...object.link, kind, up })}`;
    }
    case "address":
      return `address ${formatLinkAddress(object.address)}`;
    case "neighbour":
      return `neighbour ${formatNeighbour(object.neighbour)}`;
    case "fdb":
      return `fdb ${formatFdbEntry(object.entry)}`;
    case "route":
      return `route ${formatRoute(object.route)}`;
  }
}

function commands(change: StateChange): string[] {
  const { verb, object, settings = {} } = change;
  if (object.type !== "link") {
    const [kind, ...words] = formatObject(object).split(" ");
    const tool = object.type === "fdb" ? "bridge" : "ip";
    return [[tool, kind, verb === "remove" ? "delete" : verb, ...words].join(" ")];
  }
  const { name, up = true, addrGenMode } = object.link;
  if (verb === "remove") return [`ip link delete dev ${name}`];
  if (verb === "replace") return [`ip link set dev ${name} ${formatSettings(settings)}`];
  if (addrGenMode === undefined) return [`ip link add ${formatObject(object).slice("link ".length)}`];
  // The kernel takes the mode only of a link that exists, and it matters before the link is up.
  const plain: StateObject = { type: "link", link: { ...object.link, up: false, addrGenMode: undefined } };
  return [
    ...commands({ verb, object: plain }),
    `ip link set dev ${name} addrgenmode ${addrGenMode}`,
    ...(up ? [`ip link set dev ${name} up`] : []),
  ];
}

function formatSettings({ up, mtu, mac, master, addrGenMode }: LinkSettings): string {
  const words: string[] = [];
  if (up !== undefined) words.push(up ? "up" : "down");
  if (mtu !== undefined) words.push("mtu", String(mtu));
  if (mac !== undefined) words.push("address", mac);
  if (master) words.push("master", master);
  if (addrGenMode !== undefined) words.push("addrgenmode", addrGenMode);
  return words.join(" ");
}
