import { describe, expect, test } from "vitest";
import { again, bytes, only } from "../recorded.fixture.ts";
import { decodeNftGeneration, encodeNftBatchBegin, encodeNftBatchEnd } from "./nft-batch.ts";
import { decodeNftChain, encodeNftChain, NftHook } from "./nft-chain.ts";
import { decodeNftComment, encodeNftComment } from "./nft-comment.ts";
import { type NftExpression, NftMetaKey } from "./nft-expression.ts";
import { encodeNftFilter } from "./nft-filter.ts";
import { NftFamily, NftMessageType } from "./nft-header.ts";
import { decodeNftRule, encodeNftRule } from "./nft-rule.ts";
import { decodeNftTable, encodeNftTable } from "./nft-table.ts";

// Each vector is what `nft --debug=mnl` (nftables 1.0.6) showed that it sends, or what the kernel (6.18) answered.

const at = { family: NftFamily.inet, table: "loden", chain: "postrouting" };

describe("batches", () => {
  // nft -f: what stands around the changes
  const begin = bytes(`
    14 00 00 00  10 00 01 00  00 00 00 00  00 00 00 00  # length 20, batchBegin, request, sequence, port
    00 00 00 0a                                         # nfgenmsg: AF_UNSPEC, version 0, for nf_tables (network order)`);
  const end = bytes(`
    14 00 00 00  11 00 01 00  07 00 00 00  00 00 00 00  # batchEnd
    00 00 00 0a`);

  test("encodeNftBatchBegin() and encodeNftBatchEnd() write the bytes of nft", () => {
    expect(again(begin, encodeNftBatchBegin())).toEqual(begin);
    expect(again(end, encodeNftBatchEnd())).toEqual(end);
    expect([only(begin).type, only(end).type]).toEqual([NftMessageType.batchBegin, NftMessageType.batchEnd]);
  });

  test("encodeNftBatchBegin() names the generation when there is one", () => {
    expect(encodeNftBatchBegin({ generation: 0x01020304 })).toEqual(
      bytes(`
        00 00 00 0a
        08 00 01 00  01 02 03 04  # NFNL_BATCH_GENID, in network order`),
    );
  });

  // what the kernel answers to getGeneration
  const generation = bytes(`
    34 00 00 00  0f 0a 00 00  01 00 00 00  d4 7b 00 00  # length 52, newGeneration
    00 00 00 03                                         # nfgenmsg: the generation's lower 16 bits
    08 00 01 00  00 00 00 03                            # NFTA_GEN_ID 3
    08 00 02 00  00 00 7b d4                            # NFTA_GEN_PROC_PID
    0f 00 03 00  4d 61 69 6e 54 68 72 65 61 64 00 00    # NFTA_GEN_PROC_NAME "MainThread", padding`);

  test("decodeNftGeneration() reads the number of the ruleset", () => {
    expect(decodeNftGeneration(only(generation).payload)).toBe(3);
    expect(() => decodeNftGeneration(bytes("00 00 00 02"))).toThrow(RangeError);
    expect(() => decodeNftGeneration(bytes("00 00"))).toThrow(RangeError);
  });
});

describe("tables and chains", () => {
  // nft add table inet loden { comment "who"; }
  const table = bytes(`
    34 00 00 00  00 0a 01 04  01 00 00 00  00 00 00 00  # length 52, newTable, request|create
    01 00 00 00                                         # nfgenmsg: NFPROTO_INET
    0a 00 01 00  6c 6f 64 65 6e 00 00 00                # NFTA_TABLE_NAME "loden", padding
    08 00 02 00  00 00 00 00                            # NFTA_TABLE_FLAGS 0
    0a 00 06 00  00 04 77 68 6f 00 00 00                # NFTA_TABLE_USERDATA: comment, 4 bytes, "who", padding`);

  test("encodeNftTable() writes the bytes of nft, and decodeNftTable() reads them", () => {
    const fields = { family: NftFamily.inet, name: "loden", flags: 0, userData: encodeNftComment("who") };
    expect(again(table, encodeNftTable(fields))).toEqual(table);
    expect(decodeNftTable(only(table).payload)).toEqual(fields);
    expect(decodeNftComment(decodeNftTable(only(table).payload).userData)).toBe("who");
  });

  // what the kernel answers when tables are listed
  const listedTable = bytes(`
    48 00 00 00  00 0a 02 00  01 00 00 00  d4 7b 00 00  # length 72, newTable, multipart
    01 00 00 03
    0a 00 01 00  6c 6f 64 65 6e 00 00 00
    08 00 03 00  00 00 00 01                            # NFTA_TABLE_USE 1 chain
    0c 00 04 00  00 00 00 00 00 00 00 01                # NFTA_TABLE_HANDLE 1
    08 00 02 00  00 00 00 00
    0a 00 06 00  00 04 77 68 6f 00 00 00`);

  test("decodeNftTable() reads the handle and keeps what has no field", () => {
    expect(decodeNftTable(only(listedTable).payload)).toEqual({
      family: NftFamily.inet,
      name: "loden",
      flags: 0,
      handle: 1n,
      userData: encodeNftComment("who"),
      other: [{ type: 3, flags: 0, value: Uint8Array.of(0, 0, 0, 1) }],
    });
  });

  // nft add chain inet loden postrouting { type nat hook postrouting priority srcnat; policy accept; }
  const base = bytes(`
    54 00 00 00  03 0a 01 04  02 00 00 00  00 00 00 00  # length 84, newChain, request|create
    01 00 00 00
    0a 00 01 00  6c 6f 64 65 6e 00 00 00                # NFTA_CHAIN_TABLE "loden"
    10 00 03 00  70 6f 73 74 72 6f 75 74 69 6e 67 00    # NFTA_CHAIN_NAME "postrouting"
    08 00 07 00  6e 61 74 00                            # NFTA_CHAIN_TYPE "nat"
    08 00 05 00  00 00 00 01                            # NFTA_CHAIN_POLICY NF_ACCEPT
    14 00 04 80                                         # NFTA_CHAIN_HOOK, nested
      08 00 01 00  00 00 00 04                          #   NFTA_HOOK_HOOKNUM postrouting
      08 00 02 00  00 00 00 64                          #   NFTA_HOOK_PRIORITY 100`);

  test("encodeNftChain() writes the bytes of nft for a base chain, and decodeNftChain() reads them", () => {
    const fields = {
      family: NftFamily.inet,
      table: "loden",
      name: "postrouting",
      type: "nat",
      hook: { number: NftHook.postrouting, priority: 100 },
      policy: "accept",
    } as const;
    expect(again(base, encodeNftChain(fields))).toEqual(base);
    expect(decodeNftChain(only(base).payload)).toEqual(fields);
  });

  // nft add chain inet loden two
  const plain = bytes(`
    28 00 00 00  03 0a 01 04  03 00 00 00  00 00 00 00
    01 00 00 00
    0a 00 01 00  6c 6f 64 65 6e 00 00 00
    08 00 03 00  74 77 6f 00                            # NFTA_CHAIN_NAME "two"`);

  test("encodeNftChain() writes the bytes of nft for a chain that is jumped to", () => {
    const fields = { family: NftFamily.inet, table: "loden", name: "two" };
    expect(again(plain, encodeNftChain(fields))).toEqual(plain);
    expect(decodeNftChain(only(plain).payload)).toEqual(fields);
  });

  test("decodeNftChain() reads a negative priority", () => {
    const hook = { number: NftHook.prerouting, priority: -300 };
    const chain = {
      family: NftFamily.ip,
      table: "raw",
      name: "PREROUTING",
      type: "filter",
      hook,
      policy: "drop",
    };
    expect(decodeNftChain(encodeNftChain({ ...chain, policy: "drop" }))).toEqual(chain);
  });
});

describe("rules", () => {
  // nft add rule inet loden postrouting meta mark and 0x4000 == 0x4000 return
  //   [ meta load mark => reg 1 ]
  //   [ bitwise reg 1 = ( reg 1 & 0x00004000 ) ^ 0x00000000 ]
  //   [ cmp eq reg 1 0x00004000 ]
  //   [ immediate reg 0 return ]
  const markReturn = bytes(`
    00 01 00 00  06 0a 01 0c  04 00 00 00  00 00 00 00  # length 256, newRule, request|create|append
    01 00 00 00
    0a 00 01 00  6c 6f 64 65 6e 00 00 00                # NFTA_RULE_TABLE
    10 00 02 00  70 6f 73 74 72 6f 75 74 69 6e 67 00    # NFTA_RULE_CHAIN
    d0 00 04 80                                         # NFTA_RULE_EXPRESSIONS
      24 00 01 80                                       #   NFTA_LIST_ELEM
        09 00 01 00  6d 65 74 61 00 00 00 00            #     NFTA_EXPR_NAME "meta"
        14 00 02 80                                     #     NFTA_EXPR_DATA
          08 00 02 00  00 00 00 03                      #       NFTA_META_KEY mark
          08 00 01 00  00 00 00 01                      #       NFTA_META_DREG 1
      4c 00 01 80
        0c 00 01 00  62 69 74 77 69 73 65 00            #     "bitwise"
        3c 00 02 80
          08 00 01 00  00 00 00 01                      #       NFTA_BITWISE_SREG 1
          08 00 02 00  00 00 00 01                      #       NFTA_BITWISE_DREG 1
          08 00 06 00  00 00 00 00                      #       NFTA_BITWISE_OP 0: mask and xor
          08 00 03 00  00 00 00 04                      #       NFTA_BITWISE_LEN 4
          0c 00 04 80  08 00 01 00  00 40 00 00         #       NFTA_BITWISE_MASK { NFTA_DATA_VALUE }, host order
          0c 00 05 80  08 00 01 00  00 00 00 00         #       NFTA_BITWISE_XOR
      2c 00 01 80
        08 00 01 00  63 6d 70 00                        #     "cmp"
        20 00 02 80
          08 00 01 00  00 00 00 01                      #       NFTA_CMP_SREG 1
          08 00 02 00  00 00 00 00                      #       NFTA_CMP_OP eq
          0c 00 03 80  08 00 01 00  00 40 00 00         #       NFTA_CMP_DATA { NFTA_DATA_VALUE }
      30 00 01 80
        0e 00 01 00  69 6d 6d 65 64 69 61 74 65 00 00 00  #   "immediate"
        1c 00 02 80
          08 00 01 00  00 00 00 00                      #       NFTA_IMMEDIATE_DREG 0: the verdict
          10 00 02 80                                   #       NFTA_IMMEDIATE_DATA
            0c 00 02 80                                 #         NFTA_DATA_VERDICT
              08 00 01 00  ff ff ff fb                  #           NFTA_VERDICT_CODE -5, return`);

  const mark = Uint8Array.of(0, 0x40, 0, 0);
  const markReturnExpressions: NftExpression[] = [
    { kind: "meta", key: NftMetaKey.mark, register: 1 },
    { kind: "bitwise", source: 1, destination: 1, mask: mark, xor: new Uint8Array(4) },
    { kind: "compare", register: 1, operator: "==", value: mark },
    { kind: "verdict", verdict: "return" },
  ];

  test("decodeNftRule() reads a masked mark and a verdict", () => {
    expect(decodeNftRule(only(markReturn).payload)).toEqual({ ...at, expressions: markReturnExpressions });
  });

  test("encodeNftRule() leaves out the operation of a bitwise expression, which is mask and xor without it", () => {
    const rule = { ...at, expressions: markReturnExpressions };
    expect(encodeNftRule(rule).length).toBe(only(markReturn).payload.length - 8);
    expect(decodeNftRule(encodeNftRule(rule))).toEqual(rule);
  });

  // nft add rule inet loden postrouting ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
  //   [ meta load nfproto => reg 1 ]
  //   [ cmp eq reg 1 0x00000002 ]
  //   [ payload load 2b @ network header + 12 => reg 1 ]
  //   [ cmp eq reg 1 0x0000050a ]
  //   [ payload load 4b @ network header + 16 => reg 1 ]
  //   [ bitwise reg 1 = ( reg 1 & 0x000000f0 ) ^ 0x00000000 ]
  //   [ cmp neq reg 1 0x000000e0 ]
  //   [ masq flags 0x10 ]
  const masquerade = bytes(`
    a4 01 00 00  06 0a 01 0c  05 00 00 00  00 00 00 00  # length 420
    01 00 00 00
    0a 00 01 00  6c 6f 64 65 6e 00 00 00
    10 00 02 00  70 6f 73 74 72 6f 75 74 69 6e 67 00
    74 01 04 80
      24 00 01 80  09 00 01 00  6d 65 74 61 00 00 00 00   # meta
        14 00 02 80
          08 00 02 00  00 00 00 0f                        #   NFT_META_NFPROTO
          08 00 01 00  00 00 00 01
      2c 00 01 80  08 00 01 00  63 6d 70 00               # cmp
        20 00 02 80
          08 00 01 00  00 00 00 01
          08 00 02 00  00 00 00 00
          0c 00 03 80  05 00 01 00  02 00 00 00           #   NFPROTO_IPV4, one byte, padding
      34 00 01 80  0c 00 01 00  70 61 79 6c 6f 61 64 00   # payload
        24 00 02 80
          08 00 01 00  00 00 00 01                        #   NFTA_PAYLOAD_DREG 1
          08 00 02 00  00 00 00 01                        #   NFTA_PAYLOAD_BASE network header
          08 00 03 00  00 00 00 0c                        #   NFTA_PAYLOAD_OFFSET 12, the source
          08 00 04 00  00 00 00 02                        #   NFTA_PAYLOAD_LEN 2: a /16
      2c 00 01 80  08 00 01 00  63 6d 70 00
        20 00 02 80
          08 00 01 00  00 00 00 01
          08 00 02 00  00 00 00 00
          0c 00 03 80  06 00 01 00  0a 05 00 00           #   10.5, padding
      34 00 01 80  0c 00 01 00  70 61 79 6c 6f 61 64 00
        24 00 02 80
          08 00 01 00  00 00 00 01
          08 00 02 00  00 00 00 01
          08 00 03 00  00 00 00 10                        #   offset 16, the destination
          08 00 04 00  00 00 00 04
      44 00 01 80  0c 00 01 00  62 69 74 77 69 73 65 00   # bitwise
        34 00 02 80
          08 00 01 00  00 00 00 01
          08 00 02 00  00 00 00 01
          08 00 03 00  00 00 00 04
          0c 00 04 80  08 00 01 00  f0 00 00 00           #   mask of a /4
          0c 00 05 80  08 00 01 00  00 00 00 00
      2c 00 01 80  08 00 01 00  63 6d 70 00
        20 00 02 80
          08 00 01 00  00 00 00 01
          08 00 02 00  00 00 00 01                        #   neq
          0c 00 03 80  08 00 01 00  e0 00 00 00           #   224.0.0.0
      1c 00 01 80  09 00 01 00  6d 61 73 71 00 00 00 00   # masq
        0c 00 02 80
          08 00 01 00  00 00 00 10                        #   NFTA_MASQ_FLAGS NF_NAT_RANGE_PROTO_RANDOM_FULLY`);

  test("encodeNftRule() writes the bytes of nft for a masquerade, and decodeNftRule() reads them", () => {
    const xor = new Uint8Array(4);
    const expressions: NftExpression[] = [
      { kind: "meta", key: NftMetaKey.family, register: 1 },
      { kind: "compare", register: 1, operator: "==", value: Uint8Array.of(2) },
      { kind: "payload", base: 1, offset: 12, length: 2, register: 1 },
      { kind: "compare", register: 1, operator: "==", value: Uint8Array.of(10, 5) },
      { kind: "payload", base: 1, offset: 16, length: 4, register: 1 },
      { kind: "bitwise", source: 1, destination: 1, mask: Uint8Array.of(0xf0, 0, 0, 0), xor },
      { kind: "compare", register: 1, operator: "!=", value: Uint8Array.of(224, 0, 0, 0) },
      { kind: "masquerade", flags: 0x10 },
    ];
    expect(again(masquerade, encodeNftRule({ ...at, expressions }))).toEqual(masquerade);
    expect(decodeNftRule(only(masquerade).payload)).toEqual({ ...at, expressions });
  });

  // nft add rule inet loden postrouting counter jump two comment "hi"
  const jump = bytes(`
    8c 00 00 00  06 0a 01 0c  06 00 00 00  00 00 00 00  # length 140
    01 00 00 00
    0a 00 01 00  6c 6f 64 65 6e 00 00 00
    10 00 02 00  70 6f 73 74 72 6f 75 74 69 6e 67 00
    50 00 04 80
      14 00 01 80  0c 00 01 00  63 6f 75 6e 74 65 72 00   # counter, without attributes
        04 00 02 80
      38 00 01 80  0e 00 01 00  69 6d 6d 65 64 69 61 74 65 00 00 00
        24 00 02 80
          08 00 01 00  00 00 00 00
          18 00 02 80
            14 00 02 80
              08 00 01 00  ff ff ff fd                    #   NFTA_VERDICT_CODE -3, jump
              08 00 02 00  74 77 6f 00                    #   NFTA_VERDICT_CHAIN "two"
    09 00 07 00  00 03 68 69 00 00 00 00                  # NFTA_RULE_USERDATA: comment "hi"`);

  test("decodeNftRule() reads a jump and a comment, and keeps what it does not know", () => {
    const userData = encodeNftComment("hi");
    const rule = {
      ...at,
      expressions: [
        { kind: "other", name: "counter", data: new Uint8Array() },
        { kind: "verdict", verdict: "jump", chain: "two" },
      ] satisfies NftExpression[],
      userData,
    };
    expect(decodeNftRule(only(jump).payload)).toEqual(rule);
    expect(again(jump, encodeNftRule(rule))).toEqual(jump);
  });

  // what the kernel answers when the rule `counter masquerade fully-random` is listed: nothing is marked as nested
  const listedRule = bytes(`
    80 00 00 00  06 0a 02 08  01 00 00 00  d4 7b 00 00  # length 128, newRule, multipart
    01 00 00 03
    0a 00 01 00  6c 6f 64 65 6e 00 00 00
    06 00 02 00  66 00 00 00                            # chain "f"
    0c 00 03 00  00 00 00 00 00 00 00 02                # NFTA_RULE_HANDLE 2
    4c 00 04 00
      2c 00 01 00  0c 00 01 00  63 6f 75 6e 74 65 72 00
        1c 00 02 00
          0c 00 01 00  00 00 00 00 00 00 00 00          # NFTA_COUNTER_BYTES
          0c 00 02 00  00 00 00 00 00 00 00 00          # NFTA_COUNTER_PACKETS
      1c 00 01 00  09 00 01 00  6d 61 73 71 00 00 00 00
        0c 00 02 00
          08 00 01 00  00 00 00 10`);

  test("decodeNftRule() reads a rule that the kernel lists", () => {
    expect(decodeNftRule(only(listedRule).payload)).toEqual({
      ...at,
      chain: "f",
      handle: 2n,
      expressions: [
        { kind: "counter", packets: 0n, bytes: 0n },
        { kind: "masquerade", flags: 0x10 },
      ],
    });
  });

  // nft delete rule inet loden two handle 7
  const deletion = bytes(`
    01 00 00 00
    0a 00 01 00  6c 6f 64 65 6e 00 00 00
    08 00 02 00  74 77 6f 00
    0c 00 03 00  00 00 00 00 00 00 00 07                # NFTA_RULE_HANDLE, 64 bits in network order`);

  test("encodeNftRule() names a rule by its handle when it is to be deleted", () => {
    expect(encodeNftRule({ ...at, chain: "two", handle: 7n })).toEqual(deletion);
    expect(decodeNftRule(deletion)).toEqual({ ...at, chain: "two", handle: 7n });
  });

  test("encodeNftFilter() asks for all, or for the rules of one chain", () => {
    expect(encodeNftFilter()).toEqual(bytes("00 00 00 00"));
    expect(encodeNftFilter({ ...at, chain: "two" })).toEqual(
      bytes("01 00 00 00  0a 00 01 00 6c 6f 64 65 6e 00 00 00  08 00 02 00 74 77 6f 00"),
    );
  });
});

describe("comments", () => {
  test("decodeNftComment() finds the comment among other entries", () => {
    expect(decodeNftComment(bytes("05 01 ff  00 03 68 69 00"))).toBe("hi");
    expect(decodeNftComment(bytes("00 02 68 69"))).toBe("hi");
  });

  test("decodeNftComment() gives undefined when there is none, or the bytes are something else", () => {
    for (const text of ["", "05 01 ff", "00 09 68", "00"])
      expect(decodeNftComment(bytes(text))).toBeUndefined();
    expect(decodeNftComment(undefined)).toBeUndefined();
  });

  test("encodeNftComment() refuses what does not fit", () => {
    expect(decodeNftComment(encodeNftComment("é".repeat(127)))).toBe("é".repeat(127));
    expect(() => encodeNftComment("é".repeat(128))).toThrow(RangeError);
  });
});
