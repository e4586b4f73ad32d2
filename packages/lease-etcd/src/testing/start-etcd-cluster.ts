import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { EtcdTls } from "../transport/etcd-member.ts";
import { EtcdProcess } from "./etcd-process.ts";
import { findCommand, findEtcd } from "./find-etcd.ts";
import { makeCertificates, readClientTls, type TestCertificates } from "./make-certificates.ts";

/** Where one member runs. */
export interface EtcdHost {
  /** Its IPv4 address. */
  readonly address: string;
  /** What comes before the program, such as `ip netns exec NAME`. */
  readonly command?: readonly [string, ...string[]] | undefined;
  /** An existing folder for its data; one that goes with the cluster by default. */
  readonly folder?: string | undefined;
}

/** Settings of {@linkcode startEtcdCluster}. */
export interface EtcdClusterOptions {
  /** How many members; 1 by default. */
  readonly size?: number | undefined;
  /** Where the members run, one each; all on 127.0.0.1 by default. */
  readonly hosts?: readonly EtcdHost[] | undefined;
  /** `"ca"`: clients check the members; `"client"`: members check the clients too. Plain text by default. */
  readonly tls?: "ca" | "client" | undefined;
  /** Further flags of each member, such as `--auth-token-ttl=2`. */
  readonly flags?: readonly string[] | undefined;
}

/** A cluster that runs until it is disposed of. */
export interface EtcdCluster extends AsyncDisposable {
  /** URLs of the members. */
  readonly endpoints: readonly string[];
  /** To stop, kill and start again. */
  readonly members: readonly EtcdProcess[];
  /** What a client needs, with `tls`. */
  readonly tls: EtcdTls | undefined;
  /** Runs `etcdctl` against it, as an independent client, and returns what it prints. */
  readonly ctl: (...words: readonly string[]) => Promise<string>;
}

const run = promisify(execFile);

/**
 * Starts a real etcd on free ports of 127.0.0.1, for tests and labs. Its data are in a temporary folder, in memory where
 * that can be had. Needs the programs `etcd` and `etcdctl` (Debian: etcd-server, etcd-client), with `tls` also `openssl`.
 *
 * @param options - how many members and how they are reached
 * @returns the cluster, ready to serve; dispose of it to end it and delete its data
 * @throws {Error} If etcd is not installed or does not start.
 */
export async function startEtcdCluster(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  const { size = 1, tls, flags = [] } = options;
  const { hosts = Array.from({ length: size }, () => ({ address: "127.0.0.1" })) } = options;
  const program = findEtcd();
  if (program === undefined) {
    throw new Error(
      "Cannot start etcd: the program is not installed, expected etcd on the PATH (Debian: etcd-server)",
    );
  }
  const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "loden-etcd-"));
  const certificates = tls === undefined ? undefined : await makeCertificates(folder);
  const members = await createMembers({ program, folder, hosts, tls, flags, certificates });
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.signal("SIGKILL")));
    await rm(folder, { recursive: true, force: true });
  };
  for (const member of members) member.start();
  try {
    await Promise.all(members.map((member) => member.ready()));
  } catch (error) {
    await stop();
    throw error;
  }
  const endpoints = members.map(({ endpoint }) => endpoint);
  return {
    endpoints,
    members,
    tls: certificates && (await readClientTls(certificates, tls === "client")),
    ctl: (...words) => control([...endpointFlags(endpoints, certificates), ...words]),
    [Symbol.asyncDispose]: stop,
  };
}

async function createMembers(plan: {
  program: string;
  folder: string;
  hosts: readonly EtcdHost[];
  tls: "ca" | "client" | undefined;
  flags: readonly string[];
  certificates: TestCertificates | undefined;
}): Promise<EtcdProcess[]> {
  const { program, folder, hosts, tls, certificates } = plan;
  const ports = await freePorts(3 * hosts.length);
  const members = hosts.map(({ address, command, folder: own }, index) => {
    const url = (port: number, scheme = "http"): string =>
      `${scheme}://${address}:${ports[3 * index + port]}`;
    const endpoint = url(0, tls === undefined ? "http" : "https");
    const name = `member${index}`;
    return {
      name,
      dataFolder: join(own ?? folder, name),
      endpoint,
      peerUrl: url(1),
      healthUrl: url(2),
      command,
    };
  });
  const cluster = members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
  return members.map(({ name, dataFolder, endpoint, peerUrl, healthUrl, command = [] }) => {
    const flags = {
      name,
      "data-dir": dataFolder,
      "listen-client-urls": endpoint,
      "advertise-client-urls": endpoint,
      "listen-peer-urls": peerUrl,
      "initial-advertise-peer-urls": peerUrl,
      "listen-metrics-urls": healthUrl,
      "initial-cluster": cluster,
      "initial-cluster-token": folder,
      logger: "zap",
      "log-level": "error",
      ...(certificates && { "cert-file": certificates.server.cert, "key-file": certificates.server.key }),
      ...(certificates &&
        tls === "client" && { "trusted-ca-file": certificates.ca, "client-cert-auth": "true" }),
    };
    const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const [first, ...rest] = [...command, program, ...words, ...plan.flags];
    return new EtcdProcess({ program: first, flags: rest, endpoint, healthUrl });
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(
    (server) =>
      new Promise<number>((resolve, reject) => {
        server.on("error", reject);
        server.listen(0, "127.0.0.1", () => {
          const address = server.address();
          resolve(typeof address === "object" && address !== null ? address.port : 0);
        });
      }),
  );
  const found = await Promise.all(ports);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}

function endpointFlags(endpoints: readonly string[], certificates: TestCertificates | undefined): string[] {
  const flags = [`--endpoints=${endpoints.join(",")}`, "--command-timeout=30s"];
  if (certificates === undefined) return flags;
  const { ca, client } = certificates;
  return [...flags, `--cacert=${ca}`, `--cert=${client.cert}`, `--key=${client.key}`];
}

async function control(words: readonly string[]): Promise<string> {
  const program = findCommand("etcdctl");
  if (program === undefined) {
    throw new Error("Cannot run etcdctl: it is not installed, expected it on the PATH (Debian: etcd-client)");
  }
  const env = { PATH: process.env["PATH"], ETCDCTL_API: "3" };
  return (await run(program, words, { env, maxBuffer: 64 * 1024 * 1024 })).stdout;
}
