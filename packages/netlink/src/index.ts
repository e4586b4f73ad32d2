/**
 * Netlink messages as bytes: headers, attributes, errors with the kernel's extended acknowledgement; the rtnetlink messages
 * for links, addresses, neighbours and routes; the nf_tables messages for tables, chains and rules. Pure: bytes in, bytes
 * out, no socket, any runtime. Numbers are in host order, taken to be little-endian (x86-64, arm64), but for those of
 * nf_tables, which are in network order.
 *
 * @example A route request and back
 * ```ts
 * import { parseAddress, parsePrefix } from "@loden/ip";
 * import { decodeMessages, decodeRoute, encodeMessages, encodeRoute, MessageFlag, MessageType } from "@loden/netlink";
 *
 * const bytes = encodeMessages([
 *   {
 *     type: MessageType.newRoute,
 *     flags: MessageFlag.request | MessageFlag.acknowledge | MessageFlag.create | MessageFlag.exclusive,
 *     sequence: 1,
 *     portId: 0,
 *     payload: encodeRoute({ destination: parsePrefix("10.1.0.0/16"), gateway: parseAddress("10.0.0.1") }),
 *   },
 * ]);
 * for (const message of decodeMessages(bytes)) console.log(decodeRoute(message.payload).destination.toString());
 * ```
 *
 * @module
 */
export { addressFamilyNumber, addressFamilyOf } from "./address-family.ts";
export { type AddressMessage, decodeAddress, encodeAddress } from "./address-message.ts";
export { type Attribute, AttributeFlag, decodeAttributes, encodeAttributes } from "./attribute.ts";
export {
  encodeAddressFilter,
  encodeNeighbourFilter,
  encodeRouteFilter,
  type InterfaceFilter,
  type RouteFilter,
} from "./dump-filter.ts";
export { decodeStatus, type NetlinkStatus } from "./status.ts";
export type { LinkInfo } from "./link-info.ts";
export type { BondInfo } from "./link-kinds/bond-info.ts";
export type { BridgeInfo } from "./link-kinds/bridge-info.ts";
export type { TunInfo } from "./link-kinds/tun-info.ts";
export type { VlanInfo } from "./link-kinds/vlan-info.ts";
export type { VxlanInfo } from "./link-kinds/vxlan-info.ts";
export { decodeLink, encodeLink, LinkFlag, type LinkMessage } from "./link-message.ts";
export { decodeMessages, encodeMessages, MessageFlag, MessageType, type NetlinkMessage } from "./message.ts";
export {
  decodeNeighbour,
  encodeNeighbour,
  type NeighbourMessage,
  NeighbourState,
} from "./neighbour-message.ts";
export type { NextHop } from "./next-hop.ts";
export type { RouteMetrics } from "./route-metrics.ts";
export {
  decodeRoute,
  encodeRoute,
  ON_LINK,
  type RouteMessage,
  RouteScope,
  RouteType,
} from "./route-message.ts";
export { decodeRule, encodeRule, RuleAction, type RuleMessage } from "./rule-message.ts";
export {
  encodeNftBatchBegin,
  encodeNftBatchEnd,
  decodeNftGeneration,
  type NftBatch,
} from "./nftables/nft-batch.ts";
export {
  decodeNftChain,
  encodeNftChain,
  type NftChain,
  type NftChainHook,
  NftHook,
} from "./nftables/nft-chain.ts";
export { decodeNftComment, encodeNftComment } from "./nftables/nft-comment.ts";
export {
  decodeNftExpressions,
  encodeNftExpressions,
  type NftBitwise,
  type NftCompare,
  type NftCounter,
  type NftExpression,
  type NftMasquerade,
  type NftMeta,
  NftMetaKey,
  type NftOther,
  type NftPayload,
  type NftVerdict,
} from "./nftables/nft-expression.ts";
export { encodeNftFilter, type NftFilter } from "./nftables/nft-filter.ts";
export { NftFamily, NftMessageType } from "./nftables/nft-header.ts";
export { decodeNftRule, encodeNftRule, type NftRule } from "./nftables/nft-rule.ts";
export { decodeNftTable, encodeNftTable, type NftTable } from "./nftables/nft-table.ts";
