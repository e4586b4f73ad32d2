import { constants } from "./constants.ts";
import { closeFd, ioctl } from "./files.ts";
import { lendMemory } from "./lend-memory.ts";
import { openSocket } from "./sockets.ts";

// include/uapi/linux/sockios.h, ethtool.h, if.h
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETHTOOL_SFEATURES = 0x3b;
const ETH_SS_FEATURES = 4;
const ETH_GSTRING_LEN = 32;
const IFNAMSIZ = 16;

/**
 * Reads what a network device does by itself, as `ethtool -k DEVICE`.
 *
 * @param device its name, in the network namespace that the thread is in.
 * @returns for each feature that the kernel knows, by the kernel's name of it (`rx-gro`, `tx-checksum-ip-generic`, `tx-udp_tnl-segmentation`), whether it is active.
 * @throws {KernelError} `ENODEV` when there is no such device.
 */
export function readLinkFeatures(device: string): ReadonlyMap<string, boolean> {
  return withEthtool(device, "read", (call) => {
    const names = readNames(call);
    return activeOf(names, readBits(call, names.length));
  });
}

/**
 * Switches what a network device does by itself, as `ethtool -K DEVICE FEATURE on`.
 *
 * The kernel has the last word: features that the device can't switch stay as they are, and some follow others (without checksums there is no segmentation).
 *
 * @param device its name, in the network namespace that the thread is in.
 * @param choose says for each feature, by the kernel's name of it, whether it is wanted; `undefined` leaves it as it is.
 * @returns the features that are active then, as {@link readLinkFeatures} gives them.
 * @throws {KernelError} `ENODEV` when there is no such device, `EPERM` without `CAP_NET_ADMIN`.
 */
export function setLinkFeatures(
  device: string,
  choose: (name: string) => boolean | undefined,
): ReadonlyMap<string, boolean> {
  return withEthtool(device, "switch", (call) => {
    const names = readNames(call);
    const bits = readBits(call, names.length);
    // struct ethtool_sfeatures: for each 32 features, which are chosen and which of them are wanted.
    const request = structure(8 + Math.ceil(names.length / 32) * 8, ETHTOOL_SFEATURES);
    request.setUint32(4, Math.ceil(names.length / 32), true);
    for (const [i, name] of names.entries()) {
      const wanted = name === "" ? undefined : choose(name);
      // The kernel refuses the whole request for one of those that no device can switch.
      if (wanted === undefined || bits.neverChange(i)) continue;
      const at = 8 + Math.floor(i / 32) * 8;
      setBit(request, at, i % 32);
      if (wanted) setBit(request, at + 4, i % 32);
    }
    call(request);
    return activeOf(names, readBits(call, names.length));
  });
}

type Call = (request: DataView) => void;

/** Gives `use` the ioctl of ethtool for one device: a struct ifreq that points to the request. */
function withEthtool<Result>(device: string, verb: string, use: (call: Call) => Result): Result {
  const attempt = `${verb} the features of ${device}`;
  const name = new TextEncoder().encode(device);
  if (name.length >= IFNAMSIZ) {
    throw new RangeError(
      `Cannot ${attempt}: its name has ${name.length} bytes, expected at most ${IFNAMSIZ - 1}`,
    );
  }
  const fd = openSocket(constants.AF_INET, constants.SOCK_DGRAM);
  try {
    return use((request) =>
      lendMemory([request], (address) => {
        const ifreq = new Uint8Array(40);
        ifreq.set(name);
        new DataView(ifreq.buffer).setBigUint64(IFNAMSIZ, BigInt(address), true);
        ioctl(fd, SIOCETHTOOL, ifreq, attempt);
      }),
    );
  } finally {
    closeFd(fd);
  }
}

/** The names of features, by the numbers of their bits; some bits have none. */
function readNames(call: Call): readonly string[] {
  // struct ethtool_sset_info, with room for one length.
  const info = structure(24, ETHTOOL_GSSET_INFO);
  info.setBigUint64(8, 1n << BigInt(ETH_SS_FEATURES), true);
  call(info);
  const count = info.getUint32(16, true);
  // struct ethtool_gstrings
  const strings = structure(12 + count * ETH_GSTRING_LEN, ETHTOOL_GSTRINGS);
  strings.setUint32(4, ETH_SS_FEATURES, true);
  strings.setUint32(8, count, true);
  call(strings);
  // A copy: text is not decoded from shared memory.
  const text = new TextDecoder().decode(new Uint8Array(strings.buffer, 12).slice());
  return Array.from({ length: count }, (_, i) =>
    text.slice(i * ETH_GSTRING_LEN, (i + 1) * ETH_GSTRING_LEN).replace(/\0.*$/s, ""),
  );
}

/** What is known of each feature, by the number of its bit. */
interface FeatureBits {
  readonly isActive: (feature: number) => boolean;
  readonly neverChange: (feature: number) => boolean;
}

function readBits(call: Call, count: number): FeatureBits {
  // struct ethtool_gfeatures: for each 32 features, which are available, requested, active and never changed.
  const blocks = Math.ceil(count / 32);
  const request = structure(8 + blocks * 16, ETHTOOL_GFEATURES);
  request.setUint32(4, blocks, true);
  call(request);
  const bit = (feature: number, word: number): boolean => {
    const at = 8 + Math.floor(feature / 32) * 16 + word * 4;
    return ((request.getUint32(at, true) >>> (feature % 32)) & 1) === 1;
  };
  return { isActive: (feature) => bit(feature, 2), neverChange: (feature) => bit(feature, 3) };
}

function activeOf(names: readonly string[], { isActive }: FeatureBits): ReadonlyMap<string, boolean> {
  return new Map(names.flatMap((name, i) => (name === "" ? [] : [[name, isActive(i)] as const])));
}

/** A structure that begins with its command, outside the JavaScript heap. */
function structure(bytes: number, command: number): DataView {
  const view = new DataView(new SharedArrayBuffer(bytes));
  view.setUint32(0, command, true);
  return view;
}

function setBit(view: DataView, at: number, bit: number): void {
  view.setUint32(at, (view.getUint32(at, true) | (1 << bit)) >>> 0, true);
}
