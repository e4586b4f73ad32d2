import { type Clock, type LeaseStore, systemClock } from "@loden/lease";
import { createEtcdTransport } from "./transport/create-etcd-transport.ts";
import { EtcdLeaseStore } from "./etcd-lease-store.ts";
import type { EtcdMember, EtcdTls } from "./transport/etcd-member.ts";
import { openHttp2Member } from "./grpc/open-http2-member.ts";
import { parseEndpoints } from "./parse-endpoints.ts";

/** Settings of {@linkcode openEtcdLeaseStore}. */
export interface EtcdLeaseStoreOptions {
  /** URLs of the members, such as `https://10.0.0.1:2379`: all with `http` or all with `https`. */
  readonly endpoints: readonly string[];
  /** Below which the network is kept; flannel's `/coreos.com/network` by default. Joined as flannel joins it. */
  readonly prefix?: string | undefined;
  /** User of etcd; with `password`. Nobody by default. */
  readonly username?: string | undefined;
  /** Never part of an error or event. */
  readonly password?: string | undefined;
  /** PEM texts for `https` endpoints: `ca` alone, or with `cert` and `key`. The system's authorities by default. */
  readonly tls?: EtcdTls | undefined;
  /**
   * How long one attempt at one member may take, in milliseconds; 2,000 by default. A call gives up after three times that;
   * a list, whose answer may be large, takes twice as long each round and gives up after seven times that.
   */
  readonly callTimeoutMs?: number | undefined;
  /** How long a watch may be silent before its member is asked whether it lives, in milliseconds; 30,000 by default. */
  readonly watchIdleMs?: number | undefined;
  /** Opens the connection to one member: HTTP/2 of our own by default, `openEtcd3Member` of `./etcd3` for the client etcd3. */
  readonly openMember?: ((endpoint: string, tls: EtcdTls | undefined) => EtcdMember) | undefined;
  /** Where time comes from; the machine's clock by default. */
  readonly clock?: Clock | undefined;
  /** Where randomness comes from: numbers from 0 up to but not 1. `Math.random` by default. */
  readonly random?: (() => number) | undefined;
}

/**
 * Opens the leases that an etcd cluster keeps for one network, in flannel's layout, so that flannel hosts can share them.
 * It connects at the first call; etcd 3.4 or later.
 *
 * - Every call goes to one member and moves on to the next one when that fails or takes too long.
 * - A write whose answer is lost is tried again under the same condition, so it is never done twice, and what an earlier
 *   attempt did is recognised by the etcd lease it carries.
 * - When a lease of a flannel host ends is not known, as asking takes a call for each: its `expiresAt` is 24 hours from
 *   now, the latest that is possible with flannel's time to live. That of a Loden host is exact: the id of its etcd lease
 *   tells.
 * - `getNetwork` rejects with NetworkConfigMissingError (ERR_NETWORK_CONFIG_MISSING) until somebody writes the config.
 * - All methods reject with StoreUnavailableError (ERR_STORE_UNAVAILABLE) when no member does what was asked, and with
 *   StoreDeniedError (ERR_STORE_DENIED) when etcd refuses the user.
 *
 * @param options - where etcd is and who we are
 * @returns the store; close it, or nothing ends its watches
 * @throws {SyntaxError} If an endpoint is no URL.
 * @throws {TypeError} If options contradict each other.
 * @throws {RangeError} If a time is not above 0 and below 2^31 milliseconds, which is the longest that a timer can wait.
 */
export function openEtcdLeaseStore(options: EtcdLeaseStoreOptions): LeaseStore {
  const { prefix = "/coreos.com/network", tls, clock = systemClock(), random = Math.random } = options;
  const { callTimeoutMs = 2_000, watchIdleMs = 30_000, username, password } = options;
  const { openMember = openHttp2Member } = options;
  const endpoints = parseEndpoints(options.endpoints, tls !== undefined);
  checkTimes({ callTimeoutMs, watchIdleMs });
  checkPairs(options);
  const credentials = username === undefined ? undefined : { username, password: password ?? "" };
  const transport = createEtcdTransport(
    endpoints.map((endpoint) => openMember(endpoint, tls)),
    { callTimeoutMs, credentials, random },
  );
  const patience = { idleMs: watchIdleMs, answerMs: 2 * callTimeoutMs, random };
  return new EtcdLeaseStore({ transport, prefix, clock, patience });
}

function checkTimes(times: Readonly<Record<string, number>>): void {
  for (const [name, ms] of Object.entries(times)) {
    if (!(ms > 0 && ms < 2 ** 31)) {
      throw new RangeError(
        `Cannot open etcd lease store: ${name} is ${ms}, expected more than 0 and less than 2^31`,
      );
    }
  }
}

function checkPairs({ username, password, tls }: EtcdLeaseStoreOptions): void {
  if ((username === undefined) !== (password === undefined)) {
    throw new TypeError(
      "Cannot open etcd lease store: username and password come apart, expected both or none",
    );
  }
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    throw new TypeError(
      "Cannot open etcd lease store: tls.cert and tls.key come apart, expected both or none",
    );
  }
}
