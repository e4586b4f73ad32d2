import { parseLeaseValue, parseSubnetKey } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import type { EtcdCluster } from "./start-etcd-cluster.ts";

/** What etcd holds, by subnet. */
export interface Kept {
  readonly owners: Readonly<Record<string, string>>;
  /** Of the last write of each lease. */
  readonly revisions: Readonly<Record<string, string>>;
}

/**
 * Reads the leases as an independent client.
 *
 * @param cluster - where they are
 * @param flags - further ones of etcdctl, such as `--user=NAME:PASSWORD`
 * @returns what is there
 */
export async function keptBy({ ctl }: EtcdCluster, ...flags: readonly string[]): Promise<Kept> {
  const words = ["get", "/coreos.com/network/subnets/", "--prefix", "--write-out=json"];
  const { kvs = [] } = JSON.parse(await ctl(...flags, ...words)) as { kvs?: readonly Entry[] };
  const entries = kvs.map(({ key, value, mod_revision: revision }) => {
    const { publicIP } = parseLeaseValue(decode(value));
    return {
      subnet: formatSubnet(parseSubnetKey(decode(key)) ?? {}),
      owner: publicIP?.toString() ?? "nobody",
      revision,
    };
  });
  return {
    owners: Object.fromEntries(entries.map(({ subnet, owner }) => [subnet, owner])),
    revisions: Object.fromEntries(entries.map(({ subnet, revision }) => [subnet, `${revision}`])),
  };
}

interface Entry {
  readonly key: string;
  readonly value: string;
  readonly mod_revision: number;
}

function decode(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}
