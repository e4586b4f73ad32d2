import { parseAddress, parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { decodeLink, encodeLink } from "./link-message.ts";
import { decodeNeighbour, encodeNeighbour } from "./neighbour-message.ts";
import { again, bytes, only } from "./recorded.fixture.ts";
import { decodeRule, encodeRule, RuleAction } from "./rule-message.ts";

// Each vector is what `ip` or `bridge` (iproute2 6.1) sent, recorded with strace.

describe("requests for a VXLAN host, and rules", () => {
  // ip link add loden.1 address 02:00:00:00:00:aa mtu 1450 type vxlan id 1 dev br0 local 192.0.2.1 dstport 8472 nolearning
  const addVxlan = bytes(`
    7c 00 00 00  10 00 05 06  d9 02 09 6b  00 00 00 00  # length 124, newLink, request|ack|create|exclusive
    00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg
    0a 00 01 00  02 00 00 00 00 aa  00 00               # IFLA_ADDRESS, padding
    08 00 04 00  aa 05 00 00                            # IFLA_MTU 1450
    0c 00 03 00  6c 6f 64 65 6e 2e 31 00                # IFLA_IFNAME "loden.1"
    3c 00 12 00                                         # IFLA_LINKINFO
      09 00 01 00  76 78 6c 61 6e 00 00 00              #   IFLA_INFO_KIND "vxlan"
      2c 00 02 00                                       #   IFLA_INFO_DATA
        08 00 03 00  02 00 00 00                        #     IFLA_VXLAN_LINK 2
        08 00 01 00  01 00 00 00                        #     IFLA_VXLAN_ID 1
        08 00 04 00  c0 00 02 01                        #     IFLA_VXLAN_LOCAL 192.0.2.1
        05 00 07 00  00 00 00 00                        #     IFLA_VXLAN_LEARNING 0, padding
        06 00 0f 00  21 18 00 00                        #     IFLA_VXLAN_PORT 8472 in network order, padding`);

  test("decodeLink() reads a VXLAN device when ip adds one, and reads what encodeLink() writes of it the same", () => {
    const link = decodeLink(only(addVxlan).payload);
    expect(link).toMatchObject({
      name: "loden.1",
      mtu: 1450,
      info: {
        kind: "vxlan",
        vxlan: { id: 1, link: 2, local: parseAddress("192.0.2.1"), learning: false, port: 8472 },
      },
    });
    expect(link.info?.data).toBeUndefined();
    expect(decodeLink(encodeLink(link))).toEqual(link);
  });

  test("encodeLink() writes settings by address family once when some of them are kept verbatim", () => {
    const spec = bytes("0c 00 02 00  08 00 01 00  01 00 00 00  0c 00 0a 00  05 00 08 00  01 00 00 00");
    const other = [{ type: 26, flags: 0, value: spec }];
    const link = decodeLink(encodeLink({ index: 2, other }));
    expect(link).toMatchObject({ index: 2, addrGenMode: 1, other });
    expect(decodeLink(encodeLink(link))).toEqual(link);
  });

  // bridge fdb replace 02:00:00:00:00:01 dev loden.1 dst 192.0.2.2 self permanent
  const replaceFdb = bytes(`
    30 00 00 00  1c 00 05 05  da 02 09 6b  00 00 00 00  # length 48, newNeighbour, request|ack|replace|create
    07 00 00 00  03 00 00 00  c0 00 02 00               # ndmsg: AF_BRIDGE, link 3, NUD_NOARP|NUD_PERMANENT, NTF_SELF
    0a 00 02 00  02 00 00 00 00 01  00 00               # NDA_LLADDR, padding
    08 00 01 00  c0 00 02 02                            # NDA_DST 192.0.2.2`);

  test("decodeNeighbour() reads a forwarding entry when bridge replaces one", () => {
    const entry = decodeNeighbour(only(replaceFdb).payload);
    expect(entry).toEqual({
      family: 7,
      interfaceIndex: 3,
      state: 0xc0,
      flags: 2,
      type: 0,
      hardwareAddress: bytes("02 00 00 00 00 01"),
      destination: parseAddress("192.0.2.2"),
    });
    expect(decodeNeighbour(encodeNeighbour(entry))).toEqual(entry);
  });

  // ip neighbour replace 10.5.1.0 lladdr 02:00:00:00:00:01 dev loden.1 nud permanent
  const replaceNeighbour = bytes(`
    30 00 00 00  1c 00 05 05  db 02 09 6b  00 00 00 00
    02 00 00 00  03 00 00 00  80 00 00 00               # ndmsg: AF_INET, link 3, NUD_PERMANENT
    08 00 01 00  0a 05 01 00                            # NDA_DST 10.5.1.0
    0a 00 02 00  02 00 00 00 00 01  00 00               # NDA_LLADDR, padding`);

  test("encodeNeighbour() writes the bytes of ip when a neighbour is replaced", () => {
    const neighbour = decodeNeighbour(only(replaceNeighbour).payload);
    expect(again(replaceNeighbour, encodeNeighbour(neighbour)).subarray(0, 46)).toEqual(
      replaceNeighbour.subarray(0, 46),
    );
  });

  // ip rule add from 10.5.0.0/16 fwmark 0x4000/0x4000 table 100 priority 1000
  const addRule = bytes(`
    3c 00 00 00  20 00 05 06  d9 02 09 6b  00 00 00 00  # length 60, newRule
    02 00 10 00  64 00 00 01  00 00 00 00               # fib_rule_hdr: AF_INET, source /16, table 100, FR_ACT_TO_TBL
    08 00 02 00  0a 05 00 00                            # FRA_SRC 10.5.0.0
    08 00 0a 00  00 40 00 00                            # FRA_FWMARK
    08 00 10 00  00 40 00 00                            # FRA_FWMASK
    08 00 06 00  e8 03 00 00                            # FRA_PRIORITY 1000`);

  // ip rule add to 10.6.0.0/16 iif br0 blackhole priority 1001
  const addBlackholeRule = bytes(`
    34 00 00 00  20 00 05 06  da 02 09 6b  00 00 00 00
    02 10 00 00  00 00 00 06  00 00 00 00               # destination /16, FR_ACT_BLACKHOLE
    08 00 01 00  0a 06 00 00                            # FRA_DST 10.6.0.0
    08 00 03 00  62 72 30 00                            # FRA_IIFNAME "br0"
    08 00 06 00  e9 03 00 00                            # FRA_PRIORITY 1001`);

  test("decodeRule() reads what ip rule adds, and encodeRule() writes it again", () => {
    const rule = {
      family: 4 as const,
      action: RuleAction.lookup,
      table: 100,
      flags: 0,
      from: parsePrefix("10.5.0.0/16"),
      mark: 0x4000,
      markMask: 0x4000,
      priority: 1000,
    };
    expect(decodeRule(only(addRule).payload)).toEqual(rule);
    expect(encodeRule(rule)).toHaveLength(only(addRule).payload.length);
    const blackhole = decodeRule(only(addBlackholeRule).payload);
    expect(blackhole).toMatchObject({
      action: RuleAction.blackhole,
      to: parsePrefix("10.6.0.0/16"),
      inputLink: "br0",
    });
    expect(again(addBlackholeRule, encodeRule(blackhole))).toEqual(addBlackholeRule);
  });
});
