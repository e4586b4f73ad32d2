import {
  type Attribute,
  encodeLink,
  LinkFlag,
  type LinkMessage,
  MessageFlag,
  MessageType,
} from "@loden/netlink";
import type { Netns } from "@loden/netns";
import type { CallOptions } from "../call-options.ts";
import { RequestSocket } from "../socket/request-socket.ts";
import { parseHardwareAddress } from "./hardware-address.ts";
import type { AddrGenMode, KindSettings } from "./link.ts";
import { indexFinder, requireIndex } from "./link-names.ts";
import { setLink } from "./set-link.ts";

/** A link to create. */
export interface NewLink extends KindSettings {
  /** At most 15 bytes. */
  readonly name: string;
  /** Driver: `veth`, `bridge`, `vxlan`, `vlan`, `bond`, or any other that needs no settings or takes them as `data`. */
  readonly kind: string;
  /** `veth`: the other end; without it the kernel picks a name. */
  readonly peer?: NewPeer | undefined;
  /** Name of the link below: `vxlan` sends out of it, `vlan` needs it. */
  readonly lower?: string | undefined;
  /** Largest packet in bytes; the driver's default without it. */
  readonly mtu?: number | undefined;
  /** MAC address as `02:42:ac:11:00:02`; random without it. */
  readonly mac?: string | undefined;
  /** Bridge to become a port of. */
  readonly master?: string | undefined;
  /** Switch it on. Default false. */
  readonly up?: boolean | undefined;
  /** How it gets its IPv6 link-local address; set before it goes up. */
  readonly addrGenMode?: AddrGenMode | undefined;
  /** Settings of the kind (IFLA_INFO_DATA), already encoded. */
  readonly data?: readonly Attribute[] | undefined;
}

/** The other end of a veth to create. */
export interface NewPeer {
  /** At most 15 bytes. */
  readonly name: string;
  /** Namespace where it appears; that of the connection without it. */
  readonly netns?: Netns | undefined;
  /** Largest packet in bytes; the driver's default without it. */
  readonly mtu?: number | undefined;
  /** MAC address as `02:42:ac:11:00:02`; random without it. */
  readonly mac?: string | undefined;
  /** Switch it on. Default false. */
  readonly up?: boolean | undefined;
  /** How it gets its IPv6 link-local address; set before it goes up. */
  readonly addrGenMode?: AddrGenMode | undefined;
}

/** Creates a link, as `ip link add NAME type KIND`; a veth with its other end, which may be in another namespace. */
export async function addLink(
  socket: RequestSocket,
  link: NewLink,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const attempt = (): string => `add link ${link.name} of kind ${link.kind}`;
  const { name, kind, peer, lower, master, vxlan, bridge, vlan, bond, data, addrGenMode } = link;
  const indexOf = indexFinder(socket);
  const below = lower === undefined ? undefined : requireIndex(indexOf, lower, attempt);
  // The kernel takes the generation mode only of a link that exists, and it matters before the link is up.
  const up = link.up === true && addrGenMode === undefined;
  socket.request({
    type: MessageType.newLink,
    flags: MessageFlag.create | MessageFlag.exclusive,
    payload: encodeLink({
      ...settings({ ...link, up }),
      ...(master !== undefined && { master: requireIndex(indexOf, master, attempt) }),
      ...(below !== undefined && kind !== "vxlan" && { link: below }),
      info: {
        kind,
        ...(peer && {
          peer: { ...settings({ ...peer, up: false }), ...(peer.netns && { netnsFd: peer.netns.fd }) },
        }),
        ...(kind === "vxlan" && { vxlan: { ...vxlan, ...(below !== undefined && { link: below }) } }),
        ...(bridge && { bridge }),
        ...(vlan && { vlan }),
        ...(bond && { bond }),
        ...(data && { data }),
      },
    }),
    attempt,
  });
  if (addrGenMode !== undefined) await setLink(socket, name, { addrGenMode, ...(link.up && { up: true }) });
  if (peer) await setPeer(socket, peer);
}

/** The kernel switches the other end of a veth on only when both ends exist, and sets its generation mode only then. */
async function setPeer(socket: RequestSocket, { name, netns, up, addrGenMode }: NewPeer): Promise<void> {
  if (!up && addrGenMode === undefined) return;
  const own = netns && new RequestSocket(netns);
  try {
    await setLink(own ?? socket, name, { ...(up && { up }), addrGenMode });
  } finally {
    own?.close();
  }
}

function settings({ name, mtu, mac, up }: Pick<NewPeer, "name" | "mtu" | "mac" | "up">): LinkMessage {
  return {
    name,
    ...(mtu !== undefined && { mtu }),
    ...(mac !== undefined && { hardwareAddress: parseHardwareAddress(mac) }),
    ...(up && { flags: LinkFlag.up, changeMask: LinkFlag.up }),
  };
}
