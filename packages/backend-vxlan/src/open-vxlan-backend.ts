import { type Backend, createKernelBackend, type Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { type CallOptions, openRtnetlink } from "@loden/rtnetlink";
import { randomHardwareAddress } from "./hardware-address.ts";
import { VxlanDriver } from "./vxlan-driver.ts";
import { vxlanDeviceNames, type VxlanDeviceNames, type VxlanSettings } from "./vxlan-settings.ts";

/** Settings of {@link openVxlanBackend}. Those of the network are what `parseBackendOptions(network, "vxlan")` gives. */
export interface VxlanBackendOptions extends Partial<Omit<VxlanSettings, "deviceNames">> {
  /** Where devices are made; by default the calling thread's own network namespace. Keep it open as long as the backend. */
  readonly netns?: Netns | undefined;
  /** The network between the hosts. */
  readonly underlay: Underlay;
  /** The address that peers send to, where it is not the underlay's (1:1 NAT). */
  readonly publicIP?: Address | undefined;
  /** The same for IPv6. */
  readonly publicIPv6?: Address | undefined;
  /** Names of the devices. Default `loden.<VNI>` and `loden-v6.<VNI>`; flannel's are `vxlanDeviceNames(vni, "flannel")`. */
  readonly deviceNames?: VxlanDeviceNames | undefined;
  /**
   * Whether the devices may leave TCP and UDP checksums to what is below, as `ethtool -K loden.1 tx on|off`; without it that stays as the kernel has it, which
   * is on. Kernels before 5.7 and some network cards get the checksums of encapsulated packets wrong that were masqueraded too, which shows as connections
   * to services that stall for 63 s or never open: `false` is the remedy. It costs segmentation offload as well.
   */
  readonly checksumOffload?: boolean | undefined;
}

/**
 * Opens flannel's VXLAN backend: one device of the kernel for each family, and for each peer a neighbour, a forwarding entry and a route.
 *
 * Opening adds nothing yet; `join` makes the devices. A device that an earlier process left is taken over with its hardware address, so that packets go on and
 * peers need not learn another one. Whatever others remove or change of it comes back, the device with all of its peers. When somebody insists on another
 * hardware address, that one is published.
 *
 * @param options the underlay, the network's settings, and what differs from the defaults.
 * @param wait `signal` gives up.
 * @returns the backend; the caller closes it.
 * @throws {TypeError} for an underlay without an address.
 * @throws {RangeError} for an underlay whose MTU is too small, and for names that are too long.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 */
export async function openVxlanBackend(options: VxlanBackendOptions, wait?: CallOptions): Promise<Backend> {
  const { netns, underlay, checksumOffload } = options;
  const settings = settingsOf(options);
  const driver = new VxlanDriver({
    netns,
    settings,
    checksumOffload,
    macs: await hardwareAddresses(settings, netns, wait),
  });
  try {
    return createKernelBackend(driver, underlay);
  } catch (error) {
    driver.close();
    throw error;
  }
}

function settingsOf(options: VxlanBackendOptions): VxlanSettings {
  const { vni = 1, deviceNames = vxlanDeviceNames(vni) } = options;
  return {
    vni,
    port: options.port ?? 0,
    mtu: options.mtu ?? 0,
    gbp: options.gbp ?? false,
    learning: options.learning ?? false,
    directRouting: options.directRouting ?? false,
    enableIPv4: options.enableIPv4 ?? true,
    enableIPv6: options.enableIPv6 ?? false,
    deviceNames,
    publicIP: options.publicIP,
    publicIPv6: options.publicIPv6,
  };
}

/** Those of devices that are there already, else random ones. */
async function hardwareAddresses(
  { deviceNames }: VxlanSettings,
  netns: Netns | undefined,
  wait: CallOptions | undefined,
): Promise<Map<string, string>> {
  using rtnetlink = openRtnetlink({ netns });
  const macs = new Map<string, string>();
  for (const name of [deviceNames.ipv4, deviceNames.ipv6]) {
    const link = await rtnetlink.links.get(name, wait);
    macs.set(name, (link?.kind === "vxlan" ? link.mac : undefined) ?? randomHardwareAddress());
  }
  return macs;
}
