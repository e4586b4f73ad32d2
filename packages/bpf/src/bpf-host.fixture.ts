import { parseAddress } from "@loden/ip";
import { closeFd, constants, encodeSocketAddress, openSocket, sendTo } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { openTun, type TunDevice } from "@loden/tun";

/** Makes the key of an entry: a 32-bit number, as the machine has it. */
export function keyOf(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer);
}

/**
 * For the kernel tests: a namespace with a TUN device that is up.
 *
 *     test --- packets of the TUN device | tun0 10.77.0.1/24 --- kernel sockets
 */
export interface BpfHost extends Disposable {
  readonly netns: Netns;
  readonly rtnetlink: Rtnetlink;
  readonly tun: TunDevice;
  /** Sends a kernel's datagram to a port of 10.77.0.2, and so into the device. */
  send(port: number, payload: string): void;
}

/** Makes the host; closing takes all of it away. */
export async function openBpfHost(): Promise<BpfHost> {
  using undo = new DisposableStack();
  const netns = undo.use(createNetns());
  const rtnetlink = undo.use(openRtnetlink({ netns }));
  const tun = undo.use(openTun({ name: "tun0", netns }));
  tun.setUp(true);
  await rtnetlink.addresses.add({ link: "tun0", address: parseAddress("10.77.0.1"), prefixLength: 24 });
  const socket = netns.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
  undo.defer(() => closeFd(socket));
  const held = undo.move();
  return {
    netns,
    rtnetlink,
    tun,
    send: (port, payload) => {
      sendTo(
        socket,
        new TextEncoder().encode(payload),
        encodeSocketAddress(Uint8Array.of(10, 77, 0, 2), port),
      );
    },
    [Symbol.dispose]: () => held.dispose(),
  };
}
