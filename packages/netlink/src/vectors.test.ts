import { parseAddress, parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { decodeAddress, encodeAddress } from "./address-message.ts";
import { encodeAddressFilter, encodeNeighbourFilter, encodeRouteFilter } from "./dump-filter.ts";
import { decodeLink, encodeLink } from "./link-message.ts";
import { decodeNeighbour, encodeNeighbour } from "./neighbour-message.ts";
import { decodeRoute, encodeRoute } from "./route-message.ts";
import { again, bytes, only } from "./recorded.fixture.ts";
import { decodeStatus } from "./status.ts";

// Each vector is what `ip` (iproute2 6.1) sent, or the kernel (6.18) answered, recorded with strace.

describe("requests", () => {
  // ip link add loden0 mtu 1400 type veth peer name eth9
  const addVeth = bytes(`
    64 00 00 00  10 00 05 06  1d 98 03 6b  00 00 00 00  # length 100, newLink, request|ack|create|exclusive, sequence, port
    00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg: family, type, index, flags, change mask
    08 00 04 00  78 05 00 00                            # IFLA_MTU 1400
    0b 00 03 00  6c 6f 64 65 6e 30 00 00                # IFLA_IFNAME "loden0", padding
    30 00 12 00                                         # IFLA_LINKINFO
      08 00 01 00  76 65 74 68                          #   IFLA_INFO_KIND "veth", without a final zero
      24 00 02 00                                       #   IFLA_INFO_DATA
        20 00 01 00                                     #     VETH_INFO_PEER
          00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  #    ifinfomsg
          09 00 03 00  65 74 68 39 00  00 00 00         #       IFLA_IFNAME "eth9", padding`);

  test("decodeLink() reads a veth with its peer when ip adds one", () => {
    const message = only(addVeth);
    expect(message).toMatchObject({ type: 16, flags: 0x605, sequence: 0x6b03981d, portId: 0 });
    const header = { family: 0, deviceType: 0, index: 0, flags: 0, changeMask: 0 };
    expect(decodeLink(message.payload)).toEqual({
      ...header,
      name: "loden0",
      mtu: 1400,
      info: { kind: "veth", peer: { ...header, name: "eth9" } },
    });
  });

  test("encodeLink() writes a veth with its peer as ip does, but nested attributes marked and text ended", () => {
    const payload = encodeLink({ name: "loden0", mtu: 1400, info: { kind: "veth", peer: { name: "eth9" } } });
    expect(payload).toEqual(
      bytes(`
        00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
        0b 00 03 00  6c 6f 64 65 6e 30 00 00  # IFLA_IFNAME
        08 00 04 00  78 05 00 00              # IFLA_MTU
        34 00 12 80                           # IFLA_LINKINFO | NLA_F_NESTED
          09 00 01 00  76 65 74 68 00  00 00 00  # "veth" and its final zero
          24 00 02 80                         #   IFLA_INFO_DATA | NLA_F_NESTED
            20 00 01 00                       #     VETH_INFO_PEER: not nested, an ifinfomsg comes first
              00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
              09 00 03 00  65 74 68 39 00  00 00 00`),
    );
  });

  // ip link set eth9 addrgenmode none
  const addrGenMode = bytes(`
    30 00 00 00  10 00 05 00  1d 98 03 6b  00 00 00 00  # length 48, newLink, request|ack
    00 00 00 00  02 00 00 00  00 00 00 00  00 00 00 00  # ifinfomsg: index 2
    10 00 1a 00                                         # IFLA_AF_SPEC
      0c 00 0a 00                                       #   AF_INET6
        05 00 08 00  01 00 00 00                        #     IFLA_INET6_ADDR_GEN_MODE 1 (none), padding`);

  test("decodeLink() reads the address generation mode when ip sets it", () => {
    expect(decodeLink(only(addrGenMode).payload)).toMatchObject({ index: 2, addrGenMode: 1 });
    expect(decodeLink(encodeLink({ index: 2, addrGenMode: 1 }))).toEqual(
      decodeLink(only(addrGenMode).payload),
    );
  });

  // ip link set loden0 master br0 up
  const setMaster = bytes(`
    28 00 00 00  10 00 05 00  1d 98 03 6b  00 00 00 00  # length 40, newLink, request|ack
    00 00 00 00  03 00 00 00  01 00 00 00  01 00 00 00  # ifinfomsg: index 3, flags IFF_UP, change mask IFF_UP
    08 00 0a 00  04 00 00 00                            # IFLA_MASTER 4`);

  test("encodeLink() writes the bytes of ip when a link gets a master and goes up", () => {
    expect(again(setMaster, encodeLink({ index: 3, flags: 1, changeMask: 1, master: 4 }))).toEqual(setMaster);
  });

  // ip address add 10.1.0.5/32 dev br0
  const addAddress4 = bytes(`
    28 00 00 00  14 00 05 06  1d 98 03 6b  00 00 00 00  # length 40, newAddress, request|ack|create|exclusive
    02 20 00 00  04 00 00 00                            # ifaddrmsg: AF_INET, /32, flags 0, scope global, link 4
    08 00 02 00  0a 01 00 05                            # IFA_LOCAL 10.1.0.5
    08 00 01 00  0a 01 00 05                            # IFA_ADDRESS the same: no peer`);

  // ip address add fd00::1/64 dev br0 nodad
  const addAddress6 = bytes(`
    40 00 00 00  14 00 05 06  1d 98 03 6b  00 00 00 00
    0a 40 02 00  04 00 00 00                            # ifaddrmsg: AF_INET6, /64, IFA_F_NODAD
    14 00 02 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01
    14 00 01 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01`);

  test("encodeAddress() writes the bytes of ip when an address is added", () => {
    const address4 = {
      address: parseAddress("10.1.0.5"),
      prefixLength: 32,
      interfaceIndex: 4,
      scope: 0,
      flags: 0,
    };
    expect(again(addAddress4, encodeAddress(address4))).toEqual(addAddress4);
    expect(decodeAddress(only(addAddress4).payload)).toEqual(address4);
    const address6 = {
      address: parseAddress("fd00::1"),
      prefixLength: 64,
      interfaceIndex: 4,
      scope: 0,
      flags: 2,
    };
    expect(again(addAddress6, encodeAddress(address6))).toEqual(addAddress6);
    expect(decodeAddress(only(addAddress6).payload)).toEqual(address6);
  });

  // ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev br0
  const addNeighbour = bytes(`
    30 00 00 00  1c 00 05 06  1e 98 03 6b  00 00 00 00
    02 00 00 00  04 00 00 00  80 00 00 00               # ndmsg: AF_INET, link 4, NUD_PERMANENT
    08 00 01 00  0a 00 00 09                            # NDA_DST
    0a 00 02 00  02 00 00 00 00 09  00 00               # NDA_LLADDR, padding`);

  test("encodeNeighbour() writes the bytes of ip when a neighbour is added", () => {
    const neighbour = {
      family: 2,
      interfaceIndex: 4,
      state: 0x80,
      flags: 0,
      type: 0,
      destination: parseAddress("10.0.0.9"),
      hardwareAddress: bytes("02 00 00 00 00 09"),
    };
    expect(again(addNeighbour, encodeNeighbour(neighbour))).toEqual(addNeighbour);
    expect(decodeNeighbour(only(addNeighbour).payload)).toEqual(neighbour);
  });

  // ip route add 10.3.0.0/16 via 198.51.100.1
  const addRoute = bytes(`
    2c 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00
    02 10 00 00  fe 03 00 01  00 00 00 00               # rtmsg: AF_INET, /16, from /0, TOS, main, boot, global, unicast
    08 00 01 00  0a 03 00 00                            # RTA_DST
    08 00 05 00  c6 33 64 01                            # RTA_GATEWAY`);

  // ip route add blackhole 10.8.0.0/16
  const addBlackhole = bytes(`
    24 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00
    02 10 00 00  fe 03 00 06  00 00 00 00               # rtmsg: type blackhole
    08 00 01 00  0a 08 00 00`);

  // ip -6 route add fd01::/64 via fd00::7
  const addRoute6 = bytes(`
    44 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00
    0a 40 00 00  fe 03 00 01  00 00 00 00
    14 00 01 00  fd 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    14 00 05 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 07`);

  // ip route add 10.6.0.0/16 via inet6 fd00::9 dev br0
  const addVia = bytes(`
    44 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00
    02 10 00 00  fe 03 00 01  00 00 00 00
    08 00 01 00  0a 06 00 00
    16 00 12 00  0a 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 09  00 00  # RTA_VIA: AF_INET6, address, padding
    08 00 04 00  04 00 00 00                            # RTA_OIF 4`);

  // ip route add 10.7.0.0/16 nexthop via 10.0.0.3 weight 1 nexthop via 10.0.0.4 dev br0 weight 3
  const addMultipath = bytes(`
    48 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00
    02 10 00 00  fe 03 00 01  00 00 00 00
    08 00 01 00  0a 07 00 00
    24 00 09 00                                         # RTA_MULTIPATH
      10 00 00 00  00 00 00 00                          #   rtnexthop: length 16, flags, weight 1 less 1, no link
        08 00 05 00  0a 00 00 03                        #     RTA_GATEWAY
      10 00 00 02  04 00 00 00                          #   rtnexthop: weight 3 less 1, link 4
        08 00 05 00  0a 00 00 04`);

  const defaults = { table: 254, protocol: 3, scope: 0, type: 1, flags: 0 };
  test.each([
    ["through a gateway", addRoute, { destination: "10.3.0.0/16", gateway: "198.51.100.1" }],
    ["as a blackhole", addBlackhole, { destination: "10.8.0.0/16", type: 6 }],
    ["of IPv6", addRoute6, { destination: "fd01::/64", gateway: "fd00::7" }],
    ["of IPv4 through IPv6", addVia, { destination: "10.6.0.0/16", gateway: "fd00::9", interfaceIndex: 4 }],
    [
      "with several next hops",
      addMultipath,
      {
        destination: "10.7.0.0/16",
        nextHops: [
          { interfaceIndex: 0, weight: 1, flags: 0, gateway: parseAddress("10.0.0.3") },
          { interfaceIndex: 4, weight: 3, flags: 0, gateway: parseAddress("10.0.0.4") },
        ],
      },
    ],
  ])("encodeRoute() writes the bytes of ip when a route is added %s", (_, wire, fields) => {
    const { destination, gateway, ...rest } = { gateway: undefined, ...fields };
    const route = {
      ...defaults,
      ...rest,
      destination: parsePrefix(destination),
      ...(gateway !== undefined && { gateway: parseAddress(gateway) }),
    };
    expect(again(wire, encodeRoute(route))).toEqual(wire);
    expect(decodeRoute(only(wire).payload)).toEqual(route);
  });

  // ip route add 10.9.0.0/16 via 192.0.2.1 dev br0 onlink table 1000
  const addOnlink = bytes(`
    3c 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00
    02 10 00 00  00 03 00 01  04 00 00 00               # rtmsg: table in an attribute, RTNH_F_ONLINK
    08 00 01 00  0a 09 00 00
    08 00 05 00  c0 00 02 01
    08 00 0f 00  e8 03 00 00                            # RTA_TABLE 1000
    08 00 04 00  04 00 00 00`);

  test("encodeRoute() writes what ip writes, in another order, when a route is onlink in a table past 255", () => {
    const route = decodeRoute(only(addOnlink).payload);
    expect(route).toMatchObject({ table: 1000, flags: 4, interfaceIndex: 4 });
    expect(decodeRoute(encodeRoute(route))).toEqual(route);
    expect(encodeRoute(route)[4]).toBe(0);
  });
});

describe("answers", () => {
  // ip route show proto 76
  const listedRoute = bytes(`
    50 00 00 00  18 00 22 00  1e 98 03 6b  c2 64 00 00  # newRoute, multipart|dump filtered
    02 10 00 00  fe 4c 00 01  10 00 00 00               # rtmsg: main, protocol 76, RTNH_F_LINKDOWN
    08 00 0f 00  fe 00 00 00                            # RTA_TABLE 254
    08 00 01 00  0a 02 00 00                            # RTA_DST
    08 00 06 00  05 00 00 00                            # RTA_PRIORITY 5
    0c 00 08 00                                         # RTA_METRICS, not marked as nested
      08 00 02 00  14 05 00 00                          #   RTAX_MTU 1300
    08 00 05 00  0a 00 00 07                            # RTA_GATEWAY
    08 00 04 00  04 00 00 00                            # RTA_OIF`);

  test("decodeRoute() reads metric, path MTU and link when the kernel lists a route", () => {
    const message = only(listedRoute);
    expect(message.flags).toBe(0x22);
    expect(decodeRoute(message.payload)).toEqual({
      destination: parsePrefix("10.2.0.0/16"),
      table: 254,
      protocol: 76,
      scope: 0,
      type: 1,
      flags: 16,
      gateway: parseAddress("10.0.0.7"),
      interfaceIndex: 4,
      metric: 5,
      metrics: { mtu: 1300 },
    });
  });

  // ip -6 route show proto boot
  const listedRoute6 = bytes(`
    88 00 00 00  18 00 22 00  1e 98 03 6b  ca 64 00 00
    0a 40 00 00  fe 03 00 01  10 00 00 00
    08 00 0f 00  fe 00 00 00
    14 00 01 00  fd 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    08 00 06 00  00 04 00 00                            # RTA_PRIORITY 1024
    14 00 05 00  fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 07
    08 00 04 00  04 00 00 00
    24 00 0c 00  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # RTA_CACHEINFO
    05 00 14 00  00 00 00 00                            # RTA_PREF medium, padding`);

  test("decodeRoute() leaves cache information and preference out when the kernel lists an IPv6 route", () => {
    expect(decodeRoute(only(listedRoute6).payload)).toEqual({
      destination: parsePrefix("fd01::/64"),
      table: 254,
      protocol: 3,
      scope: 0,
      type: 1,
      flags: 16,
      gateway: parseAddress("fd00::7"),
      interfaceIndex: 4,
      metric: 1024,
    });
  });

  // ip address show dev br0: inet 10.0.0.1/24 scope global br0
  const listedAddress = bytes(`
    4c 00 00 00  14 00 22 00  1f 98 03 6b  d2 64 00 00
    02 18 80 00  04 00 00 00                            # ifaddrmsg: /24, IFA_F_PERMANENT
    08 00 01 00  0a 00 00 01
    08 00 02 00  0a 00 00 01
    08 00 03 00  62 72 30 00                            # IFA_LABEL "br0"
    08 00 08 00  80 00 00 00                            # IFA_FLAGS
    14 00 06 00  ff ff ff ff ff ff ff ff d0 3d 04 00 d0 3d 04 00  # IFA_CACHEINFO`);

  test("decodeAddress() keeps attributes without a field verbatim when the kernel lists an address", () => {
    expect(decodeAddress(only(listedAddress).payload)).toEqual({
      address: parseAddress("10.0.0.1"),
      prefixLength: 24,
      interfaceIndex: 4,
      scope: 0,
      flags: 0x80,
      label: "br0",
      other: [{ type: 6, flags: 0, value: bytes("ff ff ff ff ff ff ff ff d0 3d 04 00 d0 3d 04 00") }],
    });
  });

  // ip route add 10.3.0.0/16 via 198.51.100.1 (the answer)
  const refusal = bytes(`
    60 00 00 00  02 00 00 02  1e 98 03 6b  be 64 00 00  # error, NLM_F_ACK_TLVS
    9b ff ff ff                                         # -ENETUNREACH
    2c 00 00 00  18 00 05 06  1e 98 03 6b  00 00 00 00  # the request in full: 44 bytes
      02 10 00 00  fe 03 00 01  00 00 00 00
      08 00 01 00  0a 03 00 00
      08 00 05 00  c6 33 64 01
    20 00 01 00                                         # NLMSGERR_ATTR_MSG
      4e 65 78 74 68 6f 70 20 68 61 73 20 69 6e 76 61 6c 69 64 20 67 61 74 65 77 61 79 00  # "Nexthop has invalid gateway"`);

  // ip link add br0 type bridge (the answer)
  const acknowledgement = bytes(`
    24 00 00 00  02 00 00 01  1d 98 03 6b  8c 64 00 00  # error, NLM_F_CAPPED
    00 00 00 00                                         # no error
    38 00 00 00  10 00 05 06  1d 98 03 6b  00 00 00 00  # the request's header`);

  // ip route show table 77 (the answer)
  const refusedDump = bytes(`
    38 00 00 00  03 00 22 02  1e 98 03 6b  db 64 00 00  # done, multipart|dump filtered|NLM_F_ACK_TLVS
    fe ff ff ff                                         # -ENOENT
    23 00 01 00                                         # NLMSGERR_ATTR_MSG "ipv4: FIB table does not exist"
      69 70 76 34 3a 20 46 49 42 20 74 61 62 6c 65 20 64 6f 65 73 20 6e 6f 74 20 65 78 69 73 74 00  00`);

  test("decodeStatus() reads errno and the kernel's text when a request is refused", () => {
    expect(decodeStatus(only(refusal))).toEqual({ errno: 101, detail: "Nexthop has invalid gateway" });
    expect(decodeStatus(only(acknowledgement))).toEqual({ errno: 0 });
    expect(decodeStatus(only(refusedDump))).toEqual({ errno: 2, detail: "ipv4: FIB table does not exist" });
  });
});

describe("dump filters", () => {
  test("encodeRouteFilter() writes the header of ip route show when a protocol is asked for", () => {
    // ip route show proto 76, where the table is an attribute even though it fits the header
    const recorded = bytes("02 00 00 00  00 4c 00 00  00 00 00 00  08 00 0f 00  fe 00 00 00");
    expect(encodeRouteFilter({ family: 2, protocol: 76, table: 254 })).toEqual(
      bytes("02 00 00 00  fe 4c 00 00  00 00 00 00"),
    );
    expect(encodeRouteFilter({ family: 2, protocol: 76, table: 1000 })).toEqual(
      Uint8Array.from([...recorded.subarray(0, 16), 0xe8, 0x03, 0, 0]),
    );
  });

  test("encodeAddressFilter() and encodeNeighbourFilter() write the bytes of ip when a link is asked for", () => {
    // ip address show dev br0
    expect(encodeAddressFilter({ interfaceIndex: 4 })).toEqual(bytes("00 00 00 00  04 00 00 00"));
    // ip neighbour show dev br0
    expect(encodeNeighbourFilter({ interfaceIndex: 4 })).toEqual(
      bytes("00 00 00 00  00 00 00 00  00 00 00 00  08 00 08 00  04 00 00 00"),
    );
  });
});
