import { type NftExpression, NftMetaKey } from "@loden/netlink";

/** The register that `nft` uses for everything. */
const REGISTER = 1;
const TRANSPORT_HEADER = 2;
/** IPPROTO_UDP */
export const UDP = 17;
/** Where the destination port is in the UDP header (RFC 768). */
export const PORT_OFFSET = 2;
/** IFNAMSIZ: names are padded to it with zeros. */
const NAME_BYTES = 16;

/** Datagrams to a port: `udp dport 8285`. */
export function matchDatagrams(port: number): NftExpression[] {
  return [
    { kind: "meta", key: NftMetaKey.transport, register: REGISTER },
    { kind: "compare", register: REGISTER, operator: "==", value: Uint8Array.of(UDP) },
    { kind: "payload", base: TRANSPORT_HEADER, offset: PORT_OFFSET, length: 2, register: REGISTER },
    { kind: "compare", register: REGISTER, operator: "==", value: Uint8Array.of(port >> 8, port & 0xff) },
  ];
}

/** Packets that came in by none of the links: `iifname != "eth0"`. */
export function matchNotFrom(links: readonly string[]): NftExpression[] {
  return links.flatMap((link) => {
    const value = new Uint8Array(NAME_BYTES);
    value.set(new TextEncoder().encode(link));
    return [
      { kind: "meta", key: NftMetaKey.inputName, register: REGISTER },
      { kind: "compare", register: REGISTER, operator: "!=", value },
    ] as const;
  });
}
