import { attachProgram, type BpfMap, loadProgram } from "@loden/bpf";
import type { Address, Prefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { inNetns } from "../in-netns.ts";
import { decapsulateProgram } from "./decapsulate-program.ts";
import { encapsulateProgram } from "./encapsulate-program.ts";
import type { UnderlayDevice } from "./underlay-device.ts";

/** What {@link attachPrograms} needs. */
export interface AttachOptions {
  readonly netns: Netns | undefined;
  readonly peers: BpfMap;
  readonly counters: BpfMap;
  /** The UDP port of the network. */
  readonly port: number;
  /** The number of the TUN device. */
  readonly tunIndex: number;
  /** This host's subnet, IPv4. */
  readonly subnet: Prefix;
  /** Of the network's subnets, in bits. */
  readonly prefixLength: number;
  /** This host's address on the underlay, IPv4. */
  readonly own: Address;
  readonly device: UnderlayDevice;
}

/** None of the functions that these programs call is for programs under the GPL alone. */
const LICENSE = "Apache-2.0";

/**
 * Loads both programs and attaches them, to the egress of the TUN device and the ingress of the underlay's.
 *
 * @param options what they build on.
 * @returns what detaches them. They go by themselves with the devices, and with the process.
 * @throws {KernelError} as the kernel answers. @throws {NotSupportedError} where it can't attach them.
 */
export function attachPrograms(options: AttachOptions): Disposable {
  const { netns, peers, counters, port, tunIndex, subnet, own, device } = options;
  const shared = {
    peersFd: peers.fd,
    countersFd: counters.fd,
    port,
    mask: maskOf(options.prefixLength),
  };
  using undo = new DisposableStack();
  // A program stays where it is attached when its descriptor is closed.
  using encapsulate = loadProgram({
    name: "loden_encap",
    at: "egress",
    license: LICENSE,
    instructions: encapsulateProgram({
      ...shared,
      source: own.toNumber(),
      underlayIndex: device.index,
      finishes: device.finishes,
    }),
  });
  using decapsulate = loadProgram({
    name: "loden_decap",
    at: "ingress",
    license: LICENSE,
    instructions: decapsulateProgram({
      ...shared,
      own: own.toNumber(),
      subnet: subnet.address.toNumber(),
      subnetMask: maskOf(subnet.length),
      tunIndex,
      takes: device.gathers ? "acks" : "all",
    }),
  });
  const attach = (): void => {
    undo.use(attachProgram(decapsulate, device.index));
    undo.use(attachProgram(encapsulate, tunIndex));
  };
  inNetns(netns, attach);
  return undo.move();
}

function maskOf(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffff_ffff << (32 - prefixLength)) >>> 0;
}
