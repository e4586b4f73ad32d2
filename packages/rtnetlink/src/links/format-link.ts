import type { NewLink } from "./add-link.ts";
import type { KindSettings, VxlanSettings } from "./link.ts";

/**
 * Writes a link in the words of `ip link`, so that `ip link add TEXT` makes the same one. The namespace of a peer, settings given
 * as `data`, and the address generation mode, which `ip link set` sets, are left out.
 *
 * @param link The link.
 * @returns For example `loden.1 up mtu 1450 type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning`.
 */
export function formatLink(link: NewLink): string {
  const { name, kind, lower, peer, mtu, mac, master, up } = link;
  const words = [name];
  if (lower !== undefined && kind !== "vxlan") words.push("link", lower);
  if (up) words.push("up");
  if (mtu !== undefined) words.push("mtu", String(mtu));
  if (mac !== undefined) words.push("address", mac);
  if (master !== undefined) words.push("master", master);
  words.push("type", kind);
  if (kind === "vxlan") words.push(...formatVxlan(link.vxlan ?? {}, lower));
  if (peer) words.push("peer", "name", peer.name);
  words.push(...formatKind(link));
  return words.join(" ");
}

function formatVxlan(vxlan: VxlanSettings, lower: string | undefined): string[] {
  const { id, group, local, port, ttl, ttlInherit, tos, ageing, limit, gbp, collectMetadata, df } = vxlan;
  const words: string[] = [];
  if (collectMetadata) words.push("external");
  if (id !== undefined) words.push("id", String(id));
  if (group) words.push(group.isMulticast ? "group" : "remote", group.toString());
  if (lower !== undefined) words.push("dev", lower);
  if (local) words.push("local", local.toString());
  if (port !== undefined) words.push("dstport", String(port));
  if (ttlInherit) words.push("ttl", "inherit");
  else if (ttl !== undefined && ttl !== 0) words.push("ttl", String(ttl));
  if (tos !== undefined && tos !== 0) words.push("tos", tos === 1 ? "inherit" : `0x${tos.toString(16)}`);
  if (ageing !== undefined) words.push("ageing", String(ageing));
  if (limit !== undefined && limit !== 0) words.push("maxaddress", String(limit));
  if (df !== undefined && df !== 0) words.push("df", df === 1 ? "set" : "inherit");
  for (const [setting, word] of vxlanSwitches) {
    const value = vxlan[setting];
    if (value !== undefined) words.push(value ? word : `no${word}`);
  }
  if (gbp) words.push("gbp");
  return words;
}

const vxlanSwitches = [
  ["learning", "learning"],
  ["proxy", "proxy"],
  ["rsc", "rsc"],
  ["l2miss", "l2miss"],
  ["l3miss", "l3miss"],
  ["udpCsum", "udpcsum"],
  ["udp6ZeroCsumTx", "udp6zerocsumtx"],
  ["udp6ZeroCsumRx", "udp6zerocsumrx"],
] as const satisfies readonly (readonly [keyof VxlanSettings, string])[];

function formatKind({ bridge = {}, vlan = {}, bond = {} }: KindSettings): string[] {
  const words: string[] = [];
  const put = (word: string, value: number | string | undefined): void => {
    if (value !== undefined) words.push(word, String(value));
  };
  put("forward_delay", bridge.forwardDelay);
  put("ageing_time", bridge.ageingTime);
  put("stp_state", bridge.stpState);
  put("vlan_filtering", bridge.vlanFiltering === undefined ? undefined : Number(bridge.vlanFiltering));
  put("protocol", vlan.protocol === 0x88a8 ? "802.1ad" : undefined);
  put("id", vlan.id);
  put("mode", bond.mode === undefined ? undefined : bondModes[bond.mode]);
  put("miimon", bond.miimon);
  return words;
}

const bondModes = [
  "balance-rr",
  "active-backup",
  "balance-xor",
  "broadcast",
  "802.3ad",
  "balance-tlb",
  "balance-alb",
];
