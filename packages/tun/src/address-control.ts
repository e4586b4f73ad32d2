import { closeFd, constants, encodeSocketAddress, ioctl, KernelError, openSocket } from "@loden/linux";
import { netmask, parseInterfaceAddress, type InterfaceAddress } from "./interface-address.ts";
import { interfaceRequest } from "./interface-request.ts";

// include/uapi/linux/sockios.h
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCDIFADDR = 0x8936;

/** Addresses of one device, set the way `netdevice(7)` describes: one per family. */
export interface AddressControl {
  /** Gives the device this IPv4 address instead of the one that it has. */
  setIPv4(text: string): void;
  /** Gives the device this IPv6 address instead of the one that was set before. */
  setIPv6(text: string): void;
  close(): void;
}

/**
 * Opens the control of a device's addresses. The sockets stay in the namespace that the thread is in now.
 *
 * @param name the device.
 * @param index its interface index.
 * @returns the control; the caller closes it.
 */
export function openAddressControl(name: string, index: number): AddressControl {
  const fd4 = openSocket(constants.AF_INET, constants.SOCK_DGRAM);
  const fd6 = openIPv6Socket();
  let current: InterfaceAddress | undefined;
  return {
    setIPv4(text) {
      const { bytes, prefixLength } = parseInterfaceAddress(text, 4);
      const attempt = `set address ${text} on ${name}`;
      ioctl(fd4, SIOCSIFADDR, addressRequest(name, bytes), attempt);
      ioctl(fd4, SIOCSIFNETMASK, addressRequest(name, netmask(prefixLength)), attempt);
    },
    setIPv6(text) {
      const address = parseInterfaceAddress(text, 6);
      const attempt = `set address ${text} on ${name}`;
      if (fd6 === undefined) throw new KernelError({ attempt, syscall: "socket", errno: EAFNOSUPPORT });
      if (current !== undefined) ioctl(fd6, SIOCDIFADDR, address6Request(index, current), attempt);
      current = undefined;
      ioctl(fd6, SIOCSIFADDR, address6Request(index, address), attempt);
      current = address;
    },
    close() {
      closeFd(fd4);
      if (fd6 !== undefined) closeFd(fd6);
    },
  };
}

const EAFNOSUPPORT = 97;

// Without IPv6 in the kernel everything else still works.
function openIPv6Socket(): number | undefined {
  try {
    return openSocket(constants.AF_INET6, constants.SOCK_DGRAM);
  } catch (error) {
    if (error instanceof KernelError && error.errno === EAFNOSUPPORT) return undefined;
    throw error;
  }
}

function addressRequest(name: string, address: Uint8Array): Uint8Array {
  const ifreq = interfaceRequest(name);
  ifreq.set(encodeSocketAddress(address, 0), 16);
  return ifreq;
}

// include/uapi/linux/ipv6.h: struct in6_ifreq
function address6Request(index: number, { bytes, prefixLength }: InterfaceAddress): Uint8Array {
  const request = new Uint8Array(24);
  request.set(bytes);
  const view = new DataView(request.buffer);
  view.setUint32(16, prefixLength, true);
  view.setInt32(20, index, true);
  return request;
}
