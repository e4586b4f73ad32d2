import { parsePrefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import type { Status } from "../control/status.ts";
import type { StreamEnd } from "./datagram-stream.fixture.ts";

/** Gives a host the first address of its IPv4 subnet. */
export async function numberHost(netns: Netns, { subnet = "" }: Pick<Status, "subnet">): Promise<StreamEnd> {
  using rtnetlink = openRtnetlink({ netns });
  const address = parsePrefix(subnet.split(" ")[0] ?? "").nth(1);
  await rtnetlink.addresses.add({ link: "lo", address, prefixLength: 32 });
  return { netns, address: address.toString() };
}
