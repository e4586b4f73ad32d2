import type { Address } from "@loden/ip";
import type { TestHost } from "./open-test-hosts.ts";
import { ping } from "./ping.ts";
import { sendDatagram } from "./send-datagram.ts";
import { transfer } from "./transfer.ts";

/** Larger than any MTU here, so that it travels in fragments. */
const LARGE_DATAGRAM = 20_000;

/**
 * Sends from every host's container to every other one: an ICMP echo, TCP whose bytes are compared, and a large UDP datagram that has to arrive with its own
 * source.
 *
 * @param hosts the hosts.
 * @param withIPv6 whether IPv6 has to cross too.
 * @returns what did not cross, in words; nothing when all is well.
 */
export async function crossings(hosts: readonly TestHost[], withIPv6: boolean): Promise<string[]> {
  const problems: string[] = [];
  for (const from of hosts.map(({ container }) => container)) {
    for (const to of hosts.map(({ container }) => container)) {
      if (from === to) continue;
      const pairs: [Address, Address][] = [[from.ipv4, to.ipv4]];
      if (withIPv6) pairs.push([from.ipv6, to.ipv6]);
      for (const [source, address] of pairs) {
        const way = `${source.toString()} to ${address.toString()}`;
        const target = { netns: to.netns, address };
        if (!(await ping(from.netns, address))) {
          problems.push(`no echo, ${way}`);
          continue;
        }
        const seen = await sendDatagram(from, target, LARGE_DATAGRAM);
        if (seen !== source.toString()) problems.push(`datagram from ${seen}, ${way}`);
        const { sent, arrived } = await transfer(from, target);
        if (arrived !== sent) problems.push(`TCP bytes differ, ${way}`);
      }
    }
  }
  return problems;
}
