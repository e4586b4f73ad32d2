import { readFileSync } from "node:fs";
import type { LeaseStore } from "@loden/lease";
import type { EtcdTls } from "@loden/lease-etcd";
import { createMemoryLeaseStore, createMemoryStorage } from "@loden/lease-memory";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import type { Settings } from "../flags/read-settings.ts";

/**
 * Opens the lease store that the flags name. It connects at the first call.
 *
 * @param settings the flags.
 * @returns the store; the caller closes it.
 * @throws {LodendError} with the usage code for endpoints or files that are none, with the config code for a network configuration without a file.
 */
export async function openStore(settings: Settings): Promise<LeaseStore> {
  if (settings.store === "memory") {
    const { netConfigPath } = settings;
    const config = read("net-config-path", netConfigPath, ExitCode.config);
    return createMemoryLeaseStore(createMemoryStorage({ config }));
  }
  const { endpoints, prefix, username, password } = settings.etcd;
  const tls = readTls(settings.etcd);
  // The drivers of etcd take a second to load, which who does without should not wait for.
  const { openEtcdLeaseStore } = await import("@loden/lease-etcd");
  try {
    return openEtcdLeaseStore({ endpoints, prefix, username, password, tls });
  } catch (cause) {
    const { message } = cause as Error;
    throw new LodendError(ExitCode.usage, `${message}; check --etcd-endpoints and --etcd-cafile`, { cause });
  }
}

function readTls({ caFile, certFile, keyFile }: Settings["etcd"]): EtcdTls | undefined {
  if (caFile === undefined && certFile === undefined) return undefined;
  const [ca, cert, key] = [
    caFile && read("etcd-cafile", caFile),
    certFile && read("etcd-certfile", certFile),
    keyFile && read("etcd-keyfile", keyFile),
  ];
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function read(flag: string, path: string, exitCode: ExitCode = ExitCode.usage): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code = "unreadable" } = cause as NodeJS.ErrnoException;
    throw new LodendError(
      exitCode,
      `Cannot read --${flag}: ${path} is no readable file (${code}), expected one`,
      { cause },
    );
  }
}
