/**
 * A TUN device as a Node.js stream of packets, in the shape of the npm package tuntap2.
 *
 * @example Echo
 * ```ts
 * import { openTunDuplex } from "@loden/tun/duplex";
 *
 * const tun = openTunDuplex();
 * tun.mtu = 1400;
 * tun.ipv4 = "10.0.0.1/24";
 * tun.isUp = true;
 * tun.on("data", (packet) => console.log(tun.name, packet.length));
 * ```
 *
 * @module
 */
export { openTunDuplex, TunDuplex } from "./tun-duplex.ts";
