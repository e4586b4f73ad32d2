import { parseSubnetKey } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import type { EtcdCluster } from "./start-etcd-cluster.ts";

/**
 * Reads the leases as an independent client.
 *
 * @param cluster - where they are
 * @returns owner by subnet
 */
export async function keptBy({ ctl }: EtcdCluster): Promise<Record<string, string>> {
  const lines = (await ctl("get", "/coreos.com/network/subnets/", "--prefix")).trim().split("\n");
  const kept: Record<string, string> = {};
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const subnet = parseSubnetKey(lines[index] ?? "") ?? {};
    kept[formatSubnet(subnet)] = /"PublicIP":"([^"]+)"/.exec(lines[index + 1] ?? "")?.[1] ?? "";
  }
  return kept;
}
