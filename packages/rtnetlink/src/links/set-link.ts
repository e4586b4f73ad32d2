import { encodeLink, LinkFlag, type LinkMessage, MessageType } from "@loden/netlink";
import type { Netns } from "@loden/netns";
import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { parseHardwareAddress } from "./hardware-address.ts";
import { type AddrGenMode, addrGenModes } from "./link.ts";
import { indexFinder, requireIndex } from "./link-names.ts";

/** Changes to a link; absent fields stay as they are. */
export interface LinkSettings {
  /** Switch it on or off. */
  readonly up?: boolean | undefined;
  /** Largest packet in bytes. */
  readonly mtu?: number | undefined;
  /** Bridge to become a port of; `null` to leave it. */
  readonly master?: string | null | undefined;
  /** New name, at most 15 bytes. */
  readonly name?: string | undefined;
  /** MAC address as `02:42:ac:11:00:02`. */
  readonly mac?: string | undefined;
  /** Namespace to move it to; its addresses and routes are lost on the way. */
  readonly netns?: Netns | undefined;
  /** How it gets its IPv6 link-local address; takes effect when it goes up. */
  readonly addrGenMode?: AddrGenMode | undefined;
}

/** Changes a link, as `ip link set dev NAME ...`. */
export async function setLink(
  socket: RequestSocket,
  name: string,
  settings: LinkSettings,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const attempt = (): string => `set link ${name}`;
  const indexOf = indexFinder(socket);
  const index = requireIndex(indexOf, name, attempt);
  const { up, mtu, master, mac, netns, addrGenMode } = settings;
  if (addrGenMode !== undefined) {
    // In one message the kernel would switch the link on first.
    const payload = encodeLink({ index, addrGenMode: addrGenModes.indexOf(addrGenMode) });
    socket.request({ type: MessageType.newLink, payload, attempt });
  }
  const message: LinkMessage = {
    index,
    ...(settings.name !== undefined && { name: settings.name }),
    ...(up !== undefined && { flags: up ? LinkFlag.up : 0, changeMask: LinkFlag.up }),
    ...(mtu !== undefined && { mtu }),
    ...(master !== undefined && { master: master === null ? 0 : requireIndex(indexOf, master, attempt) }),
    ...(mac !== undefined && { hardwareAddress: parseHardwareAddress(mac) }),
    ...(netns && { netnsFd: netns.fd }),
  };
  if (Object.keys(message).length > 1)
    socket.request({ type: MessageType.newLink, payload: encodeLink(message), attempt });
}
