// The kernels of @loden/packet. They keep no state: all of it lies in the memory, and every argument is an offset into it or a small number.
export { checksum } from "./checksum";
export { nextFrame } from "./coalesce";
export { gatherMessages } from "./gather";
export { findPeer, findPeerIpv6 } from "./peers";
export { segmentPackets } from "./segment";
export {
  checkDestinations,
  checkPackets,
  checkSenders,
  checkSizes,
  countBatch,
  decrementTtl,
  routeToPeers,
} from "./stages";
export { prepareReceive, takeReceived } from "./trains";
