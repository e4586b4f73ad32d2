import { publishBackendEvent } from "@loden/backend";
import { type Address, addressFromBytes } from "@loden/ip";
import type { PacketMemory } from "@loden/packet";
import type { TunDevice } from "@loden/tun";
import type { OnNarrowPath } from "./narrow-paths.ts";
import type { UdpBackendOptions } from "./open-udp-backend.ts";
import type { OuterSockets } from "./outer-sockets.ts";
import type { PumpSockets } from "./pump-control.ts";
import { formatPacketAddress, packetAddress } from "./packet-addresses.ts";
import { startPumpThread, type PumpThread } from "./pump-thread.ts";

/** The running pumps as one: sums, and what is true of all. */
export interface Pumps extends Omit<PumpThread, "move"> {
  /** Goes on with other sockets, as many as the device has queues. When it resolves, the pumps use no others any more. */
  move(sockets: OuterSockets): Promise<void>;
}

/**
 * Starts a pump for each queue of the device, with sockets of its own. One that fails is started again by itself; the others go on meanwhile.
 *
 * @param options settings of the backend, and the memory that all pumps share. @param tun the device. @param sockets as many as it has queues.
 * @returns the running pumps.
 */
export function startPumps(
  options: Pick<UdpBackendOptions, "peerSource" | "workerUrl"> & {
    readonly memory: PacketMemory;
    readonly onNarrowPath: OnNarrowPath;
  },
  tun: TunDevice,
  sockets: OuterSockets,
): Pumps {
  const { memory, workerUrl, onNarrowPath, peerSource = "strict" } = options;
  let lost = false;
  const pumps = tun.fds.map((tunFd, queue) =>
    startPumpThread({
      start: {
        memory: memory.shared(),
        queue,
        tunFd,
        ...socketsOf(sockets, queue),
        offloads: tun.offloads,
        peerSource,
      },
      workerUrl,
      onRestart: (error) => {
        // A pump that died inside an iteration would keep peer records from being reused.
        memory.queues[queue]?.leave();
        publishBackendEvent({ type: "pumpRestarted", backend: "udp", error, restarts: restarts() });
      },
      onDeviceLost: () => {
        if (!lost) publishBackendEvent({ type: "deviceLost", backend: "udp", device: tun.name });
        lost = true;
      },
      onUnknownSender: (sender, source) =>
        reportSender(memory, addressFromBytes(sender), addressFromBytes(source)),
      onNarrowPath,
    }),
  );
  const restarts = (): number => pumps.reduce((sum, pump) => sum + pump.restarts, 0);
  return {
    get restarts() {
      return restarts();
    },
    get wakeups() {
      return pumps.reduce((sum, pump) => sum + pump.wakeups, 0);
    },
    ready: Promise.all(pumps.map(({ ready }) => ready)).then(() => undefined),
    async move(next) {
      await Promise.all(pumps.map((pump, queue) => pump.move(socketsOf(next, queue))));
    },
    stop: async () => void (await Promise.all(pumps.map((pump) => pump.stop()))),
  };
}

function socketsOf({ ipv4, ipv6 }: OuterSockets, queue: number): PumpSockets {
  return { ipv4: ipv4?.fds[queue], ipv6: ipv6?.fds[queue] };
}

// `any` takes what has a peer's address inside; so does flannel.
function reportSender({ peers }: PacketMemory, sender: Address, source: Address): void {
  const record = peers.find(packetAddress(source));
  const endpoint = record < 0 ? undefined : peers.endpointAddress(record);
  publishBackendEvent({
    type: "senderUnknown",
    backend: "udp",
    sender: sender.toString(),
    source: source.toString(),
    expected: endpoint === undefined ? undefined : formatPacketAddress(endpoint),
    admittedBy: endpoint === undefined ? undefined : "peerSource: any",
  });
}
