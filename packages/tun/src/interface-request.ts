import { closeFd, constants, ioctl, openSocket } from "@loden/linux";

// include/uapi/linux/if.h: struct ifreq is a name of 16 bytes and a union of 24.
const NAME_BYTES = 16;
const IFREQ_BYTES = 40;
const IFF_UP = 1;

// include/uapi/linux/sockios.h
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCGIFMTU = 0x8921;
const SIOCSIFMTU = 0x8922;
const SIOCGIFINDEX = 0x8933;

/** Settings of one network device, asked and set through a socket in the device's namespace. */
export interface InterfaceControl {
  getIndex(): number;
  getMtu(): number;
  setMtu(mtu: number): void;
  isUp(): boolean;
  setUp(up: boolean): void;
  close(): void;
}

/**
 * Opens the control of a device, for `ioctl` requests of the kind that `netdevice(7)` describes.
 *
 * The socket stays in the namespace that the thread is in now, so the control works from anywhere later on.
 *
 * @param name the device.
 * @returns the control; the caller closes it.
 */
export function openInterfaceControl(name: string): InterfaceControl {
  const fd = openSocket(constants.AF_INET, constants.SOCK_DGRAM);
  const request = (number: number, attempt: string, fill?: (view: DataView) => void): DataView => {
    const ifreq = interfaceRequest(name);
    const view = new DataView(ifreq.buffer);
    fill?.(view);
    ioctl(fd, number, ifreq, `${attempt} ${name}`);
    return view;
  };
  const getFlags = (): number => request(SIOCGIFFLAGS, "ask for the flags of").getUint16(NAME_BYTES, true);
  return {
    getIndex: () => request(SIOCGIFINDEX, "ask for the index of").getInt32(NAME_BYTES, true),
    getMtu: () => request(SIOCGIFMTU, "ask for the MTU of").getInt32(NAME_BYTES, true),
    setMtu(mtu) {
      request(SIOCSIFMTU, `set MTU ${mtu} on`, (view) => view.setInt32(NAME_BYTES, mtu, true));
    },
    isUp: () => (getFlags() & IFF_UP) !== 0,
    setUp(up) {
      const flags = up ? getFlags() | IFF_UP : getFlags() & ~IFF_UP;
      request(SIOCSIFFLAGS, up ? "set up" : "set down", (view) => view.setUint16(NAME_BYTES, flags, true));
    },
    close: () => closeFd(fd),
  };
}

/**
 * Makes a `struct ifreq` with a name and zeros.
 *
 * @param name a device's name, at most 15 bytes.
 * @returns 40 bytes; what the request carries starts at byte 16.
 */
export function interfaceRequest(name: string): Uint8Array<ArrayBuffer> {
  const ifreq = new Uint8Array(IFREQ_BYTES);
  ifreq.set(new TextEncoder().encode(name));
  return ifreq;
}
