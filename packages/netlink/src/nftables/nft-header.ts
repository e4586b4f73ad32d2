import { ByteWriter } from "../byte-writer.ts";

/** Message types of nf_tables: the subsystem (NFNL_SUBSYS_NFTABLES) in the upper byte, NFT_MSG_* in the lower. */
export const NftMessageType: {
  /** Begin of a transaction (NFNL_MSG_BATCH_BEGIN). */
  readonly batchBegin: 0x10;
  /** End of a transaction: what stands between is committed as one (NFNL_MSG_BATCH_END). */
  readonly batchEnd: 0x11;
  readonly newTable: 0xa00;
  readonly getTable: 0xa01;
  readonly deleteTable: 0xa02;
  readonly newChain: 0xa03;
  readonly getChain: 0xa04;
  readonly deleteChain: 0xa05;
  readonly newRule: 0xa06;
  readonly getRule: 0xa07;
  readonly deleteRule: 0xa08;
  readonly newGeneration: 0xa0f;
  readonly getGeneration: 0xa10;
} = {
  batchBegin: 0x10,
  batchEnd: 0x11,
  newTable: 0xa00,
  getTable: 0xa01,
  deleteTable: 0xa02,
  newChain: 0xa03,
  getChain: 0xa04,
  deleteChain: 0xa05,
  newRule: 0xa06,
  getRule: 0xa07,
  deleteRule: 0xa08,
  newGeneration: 0xa0f,
  getGeneration: 0xa10,
};

/** Families of tables, as `nft` names them (linux/netfilter.h: NFPROTO_*). */
export const NftFamily: {
  /** In a request to list: all of them. */
  readonly any: 0;
  /** IPv4 and IPv6 in one table. */
  readonly inet: 1;
  readonly ip: 2;
  readonly arp: 3;
  readonly netdev: 5;
  readonly bridge: 7;
  readonly ip6: 10;
} = { any: 0, inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 };

/** Bytes of the header before the attributes (struct nfgenmsg). */
export const NFT_HEADER_BYTES = 4;

/** Starts a payload: struct nfgenmsg with family, version 0 and the resource id, which is in network order. */
export function nftWriter(family: number, resource: number = 0): ByteWriter {
  const writer = new ByteWriter();
  writer.u8(family);
  writer.u8(0);
  writer.u8(resource >> 8);
  writer.u8(resource & 0xff);
  return writer;
}

/** Checks that a payload has its header. */
export function checkNftHeader(bytes: Uint8Array, what: string): void {
  if (bytes.length < NFT_HEADER_BYTES)
    throw new RangeError(
      `Cannot decode nftables ${what}: ${bytes.length} bytes, expected at least ${NFT_HEADER_BYTES}`,
    );
}
