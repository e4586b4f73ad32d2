import { hostname } from "node:os";
import { type Address, parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import type { FlagValue } from "./flag.ts";
import type { ParsedFlags } from "./parse-flags.ts";

/** What the flags ask for, each value checked by itself and against the others. */
export interface Settings {
  readonly etcd: {
    readonly endpoints: readonly string[];
    readonly prefix: string;
    /** Paths of PEM files. */
    readonly keyFile: string | undefined;
    readonly certFile: string | undefined;
    readonly caFile: string | undefined;
    readonly username: string | undefined;
    /** A secret. */
    readonly password: string | undefined;
  };
  readonly store: "etcd" | "memory";
  /** The host's own, by which the network's configuration may assign it a subnet. */
  readonly hostName: string;
  /** Where the memory store reads the network's configuration. */
  readonly netConfigPath: string;
  /** How long to wait for the store at the start, in milliseconds; `Infinity`: for ever. */
  readonly storeWaitMs: number;
  /** How often to look for changes of the configuration, in milliseconds. */
  readonly configPollMs: number;
  readonly interface: {
    readonly names: readonly string[];
    readonly patterns: readonly RegExp[];
    readonly canReach: Address | undefined;
    readonly publicIP: Address | undefined;
    readonly publicIPv6: Address | undefined;
  };
  readonly subnetFile: string;
  readonly lease: { readonly ttlMs: number; readonly marginMs: number };
  readonly releaseOnExit: boolean;
  readonly onSubnetChange: "continue" | "exit";
  readonly fence: boolean;
  readonly peerSource: "strict" | "any";
  readonly kernelPath: "auto" | "off";
  readonly deviceName: string;
  readonly vxlanPrefix: string;
  readonly vxlanChecksumOffload: boolean;
  readonly name: string;
  readonly controlSocket: string;
  readonly firewall: {
    readonly masquerade: boolean;
    readonly fullyRandom: boolean;
    readonly except: readonly Prefix[];
    readonly forward: boolean;
    readonly dropForged: boolean;
    readonly resyncMs: number;
  };
  /** Whether packets to containers that this host does not have are dropped. */
  readonly blackholeRoute: boolean;
  readonly http: { readonly ip: string; readonly port: number };
  readonly log: { readonly format: "auto" | "human" | "json"; readonly isVerbose: boolean };
}

/** Reads a flag's value; which type it has, the flag's kind says. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
type Read = <T extends FlagValue>(name: string) => T;

/**
 * Makes settings of flags.
 *
 * @param flags from `parseFlags`.
 * @returns the settings.
 * @throws {LodendError} with the usage code, naming the flag.
 */
export function readSettings({ values, given }: ParsedFlags): Settings {
  const value: Read = (name) => values.get(name) as never;
  const text = (name: string): string | undefined => value<string>(name) || undefined;
  const from = <T>(name: string, one: string, expected: string, parse: (text: string) => T): T => {
    try {
      return parse(one);
    } catch (cause) {
      throw wrong(`${given.get(name) ?? `--${name}`} is "${one}", expected ${expected}`, cause);
    }
  };
  const address = (name: string, family?: 4 | 6): Address | undefined => {
    const one = text(name);
    const kind = family === undefined ? "an address" : `an IPv${family} address`;
    if (one === undefined) return undefined;
    return from(name, one, kind, (it) => parseAddress(it, family === undefined ? {} : { family }));
  };
  const name = value<string>("name");
  if (!/^[\w][\w.-]{0,30}$/.test(name))
    throw wrong(
      `--name is "${name}", expected letters, digits, "_", "." and "-", at most 31, the first a letter, a digit or "_"`,
    );
  return {
    etcd: readEtcd(text, value),
    store: value("store"),
    hostName: hostname(),
    netConfigPath: value("net-config-path"),
    storeWaitMs: value<number>("store-wait") || Infinity,
    configPollMs: value<number>("config-poll"),
    interface: {
      names: value("iface"),
      patterns: value<readonly string[]>("iface-regex").map((one) =>
        from("iface-regex", one, "a regular expression", (it) => new RegExp(it)),
      ),
      canReach: address("iface-can-reach"),
      publicIP: address("public-ip", 4),
      publicIPv6: address("public-ipv6", 6),
    },
    subnetFile: value("subnet-file"),
    lease: readLease(value("subnet-lease-ttl"), value("subnet-lease-renew-margin"), given),
    releaseOnExit: value("release-on-exit"),
    onSubnetChange: value("on-subnet-change"),
    fence: value("fence"),
    peerSource: value("peer-source"),
    kernelPath: value("kernel-path"),
    deviceName: value("device-name"),
    vxlanPrefix: value("vxlan-prefix"),
    vxlanChecksumOffload: value("vxlan-checksum-offload"),
    name,
    controlSocket: text("control-socket") ?? `/run/loden/${name}.sock`,
    firewall: {
      masquerade: value("ip-masq"),
      fullyRandom: !value<boolean>("ip-masq-fully-random-disable"),
      except: value<readonly string[]>("masq-except").map((one) =>
        from("masq-except", one, "a network such as 10.0.0.0/8", (it) => parsePrefix(it)),
      ),
      forward: value("iptables-forward-rules"),
      dropForged: value("drop-forged"),
      resyncMs: value<number>("iptables-resync") * 1_000,
    },
    blackholeRoute: value("ip-blackhole-route"),
    http: { ip: String(address("healthz-ip") ?? "0.0.0.0"), port: value("healthz-port") },
    log: { format: value("log-format"), isVerbose: value<number>("v") > 0 },
  };
}

function readEtcd(text: (name: string) => string | undefined, value: Read): Settings["etcd"] {
  const [keyFile, certFile] = [text("etcd-keyfile"), text("etcd-certfile")];
  const [username, password] = [text("etcd-username"), text("etcd-password")];
  if ((keyFile === undefined) !== (certFile === undefined))
    throw wrong("--etcd-keyfile and --etcd-certfile come apart, expected both or none");
  if ((username === undefined) !== (password === undefined))
    throw wrong("--etcd-username and --etcd-password come apart, expected both or none");
  const endpoints = value<string>("etcd-endpoints").split(",").filter(Boolean);
  return {
    endpoints: endpoints.map((endpoint) => endpoint.trim()),
    prefix: value("etcd-prefix"),
    keyFile,
    certFile,
    caFile: text("etcd-cafile"),
    username,
    password,
  };
}

function readLease(
  ttlMs: number,
  marginMinutes: number,
  given: ReadonlyMap<string, string>,
): Settings["lease"] {
  const marginMs = marginMinutes * 60_000;
  if (ttlMs < 1_000) throw wrong(`--subnet-lease-ttl is ${ttlMs / 1_000} s, expected at least one second`);
  if (marginMs < ttlMs) return { ttlMs, marginMs };
  // The default margin is made for the default time to live.
  if (!given.has("subnet-lease-renew-margin")) return { ttlMs, marginMs: ttlMs / 3 };
  throw wrong(
    `--subnet-lease-renew-margin is ${marginMinutes} minutes, expected less than --subnet-lease-ttl (${ttlMs / 60_000} minutes)`,
  );
}

function wrong(what: string, cause?: unknown): LodendError {
  return new LodendError(ExitCode.usage, `Cannot read the command line: ${what}`, { cause });
}
