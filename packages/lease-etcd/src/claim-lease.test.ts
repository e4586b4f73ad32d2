import { parseLeaseValue, parseSubnetKey, systemClock } from "@loden/lease";
import { describe, expect, test } from "vitest";
import { claimLease } from "./claim-lease.ts";
import { EtcdGrants } from "./etcd-grants.ts";
import type {
  EtcdEntry,
  EtcdTransport,
  RangeRequest,
  TxnAnswer,
  TxnRequest,
} from "./transport/etcd-transport.ts";
import { createLeaseLayout } from "./lease-layout.ts";

const value = '{"PublicIP":"192.0.2.1","PublicIPv6":null}';
const foreign = '{"PublicIP":"192.0.2.9","PublicIPv6":null}';
const attributes = parseLeaseValue(value);
const ttlMs = 60_000;

const entry = (key: string, text: string, lease: string, revision = 5): EtcdEntry => ({
  key: Buffer.from(`/n/subnets/${key}`),
  value: Buffer.from(text),
  createRevision: `${revision}`,
  modRevision: `${revision}`,
  version: "1",
  lease,
});

/** An etcd that answers transactions and reads by functions, and notes which etcd leases came and went. */
function etcdOf(answers: {
  txn: (request: TxnRequest, grant: string) => Partial<TxnAnswer>;
  range?: (request: RangeRequest) => EtcdEntry[];
}): { claim: (key: string) => ReturnType<typeof claimLease>; granted: string[]; revoked: string[] } {
  const [granted, revoked]: string[][] = [[], []];
  const transport = {
    leaseGrant: async ({ id }: { id: string }) => void granted?.push(id),
    leaseRevoke: async (id: string) => void revoked?.push(id),
    txn: async (request: TxnRequest) => {
      const answer = answers.txn(request, granted?.at(-1) ?? "");
      return { succeeded: false, revision: "10", entries: [], previous: [], ...answer };
    },
    range: async (request: RangeRequest) => ({
      revision: "8",
      entries: answers.range?.(request) ?? [],
      more: false,
    }),
  } as Partial<EtcdTransport> as EtcdTransport;
  const grants = new EtcdGrants(transport, systemClock());
  const context = { transport, grants, layout: createLeaseLayout("/n") };
  const claim = (key: string): ReturnType<typeof claimLease> =>
    claimLease(context, parseSubnetKey(key) ?? {}, attributes, { ttlMs });
  return { claim, granted: granted ?? [], revoked: revoked ?? [] };
}

describe("claimLease()", () => {
  test("adopts the key when an earlier attempt wrote it", async () => {
    const { claim, revoked } = etcdOf({
      txn: (_, grant) => ({ entries: [entry("10.5.1.0-24", value, grant, 7)] }),
    });
    await expect(claim("10.5.1.0-24")).resolves.toMatchObject({ revision: "7", attributes });
    expect(revoked).toEqual([]);
  });

  test("rejects with ERR_LEASE_EXISTS when another host overwrote what an earlier attempt wrote", async () => {
    const { claim, granted, revoked } = etcdOf({
      txn: () => ({ entries: [entry("10.5.1.0-24", foreign, "77")] }),
    });
    await expect(claim("10.5.1.0-24")).rejects.toMatchObject({
      code: "ERR_LEASE_EXISTS",
      holder: { attributes: parseLeaseValue(foreign) },
    });
    expect(revoked).toEqual(granted);
  });

  test("rejects with ERR_LEASE_EXISTS when another host chose the same etcd lease by chance", async () => {
    const { claim } = etcdOf({ txn: (_, grant) => ({ entries: [entry("10.5.1.0-24", foreign, grant)] }) });
    await expect(claim("10.5.1.0-24")).rejects.toMatchObject({ code: "ERR_LEASE_EXISTS" });
  });

  test("undoes the claim when an overlapping one was made between the list and it", async () => {
    const requests: TxnRequest[] = [];
    const other = entry("10.5.2.0-24&fd00:5:0:1::-64", foreign, "77", 9);
    const { claim, granted, revoked } = etcdOf({
      txn: (request) => ({ succeeded: requests.push(request) > 0 }),
      range: ({ minCreateRevision }) => (minCreateRevision === "9" ? [other] : []),
    });
    await expect(claim("10.5.1.0-24&fd00:5:0:1::-64")).rejects.toMatchObject({
      code: "ERR_LEASE_EXISTS",
      holder: { revision: "9" },
    });
    expect(requests[1]).toMatchObject({
      compare: [{ target: "mod", revision: "10" }],
      success: [{ type: "delete" }],
    });
    expect(revoked).toEqual(granted);
  });

  test("keeps the claim when the overlapping one was made after it", async () => {
    const { claim } = etcdOf({
      txn: () => ({ succeeded: true }),
      range: ({ minCreateRevision }) =>
        minCreateRevision === "9" ? [entry("10.5.2.0-24&fd00:5:0:1::-64", foreign, "77", 11)] : [],
    });
    await expect(claim("10.5.1.0-24&fd00:5:0:1::-64")).resolves.toMatchObject({ revision: "10" });
  });

  test("lets no claim come true that failed before, whatever the reason", async () => {
    let fails = true;
    const { claim, granted, revoked } = etcdOf({
      txn: () => {
        if (fails) throw new Error("no answer");
        return { succeeded: true };
      },
    });
    await expect(claim("10.5.1.0-24")).rejects.toThrow("no answer");
    fails = false;
    await claim("10.5.2.0-24");
    expect(revoked).toEqual(granted.slice(0, 1));
  });

  test.each([0, -1, Number.NaN, Infinity])("throws RangeError when ttlMs is %d", async (bad) => {
    const grants = new EtcdGrants({} as EtcdTransport, systemClock());
    await expect(grants.grant(bad, { operation: "claim subnet" })).rejects.toThrow(RangeError);
  });
});
