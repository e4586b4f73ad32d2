import { accessSync, constants, readFileSync } from "node:fs";
import { ExitCode } from "./exit/exit-codes.ts";
import { LodendError } from "./exit/lodend-error.ts";

/** The number of CAP_NET_ADMIN (capabilities(7)). */
const CAP_NET_ADMIN = 12n;

/**
 * Checks that this process may make devices, before anything is claimed or written.
 *
 * @throws {LodendError} with the privilege code, saying what is missing.
 */
export function checkPrivileges(): void {
  const effective = /^CapEff:\s*([\da-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  if (((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 0n) {
    throw missing("this process lacks CAP_NET_ADMIN; run lodend as root, or give it that capability");
  }
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw missing(
      code === "ENOENT"
        ? "there is no /dev/net/tun; load the tun module, or pass the device into the container"
        : `/dev/net/tun may not be opened (${code}); run lodend as root, or pass the device into the container`,
    );
  }
}

function missing(what: string): LodendError {
  return new LodendError(ExitCode.privilege, `Cannot start: ${what}`);
}
