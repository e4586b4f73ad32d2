import { closeFd, constants, openSocket, sendTo } from "@loden/linux";

/** Tells the service manager how the daemon is, as sd_notify(3). Without a manager nothing happens. */
export interface ServiceManager extends Disposable {
  /** `READY=1`, `STATUS=…`, `STOPPING=1`: one or several lines. A manager that is gone is no error. */
  notify(...lines: readonly string[]): void;
  /** How often it wants to hear `WATCHDOG=1`, in milliseconds; half of what it allows. `undefined`: never. */
  readonly watchdogMs: number | undefined;
}

/**
 * Opens the way to the service manager that started this process.
 *
 * @param environment the process's variables: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
 * @returns the way; dispose of it to close the socket.
 */
export function openServiceManager(
  environment: Readonly<Record<string, string | undefined>>,
): ServiceManager {
  const path = environment["NOTIFY_SOCKET"] ?? "";
  const fd =
    path === "" ? undefined : openSocket(constants.AF_UNIX, constants.SOCK_DGRAM | constants.SOCK_NONBLOCK);
  const address = encodeUnixAddress(path);
  return {
    watchdogMs: fd === undefined ? undefined : watchdogMs(environment),
    notify(...lines) {
      if (fd === undefined) return;
      try {
        sendTo(fd, new TextEncoder().encode(lines.join("\n")), address);
      } catch {
        // The manager restarts, or never was; the daemon goes on all the same.
      }
    },
    [Symbol.dispose]: () => {
      if (fd !== undefined) closeFd(fd);
    },
  };
}

/**
 * Writes a `struct sockaddr_un` (unix(7)).
 *
 * @param path a path, or an abstract name after `@`.
 * @returns the family and the path; an abstract name begins with a zero byte and has no end.
 */
export function encodeUnixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`);
  const bytes = new Uint8Array(2 + name.length);
  new DataView(bytes.buffer).setUint16(0, constants.AF_UNIX, true);
  bytes.set(name, 2);
  return bytes;
}

function watchdogMs(environment: Readonly<Record<string, string | undefined>>): number | undefined {
  const { WATCHDOG_USEC: micros = "", WATCHDOG_PID: pid } = environment;
  if (!/^[1-9]\d*$/.test(micros) || (pid !== undefined && pid !== String(process.pid))) return undefined;
  return Number(micros) / 2_000;
}
