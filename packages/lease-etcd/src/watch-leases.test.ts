import { type LeaseEvent, systemClock } from "@loden/lease";
import { describe, expect, test } from "vitest";
import { EtcdStatusError, GrpcStatus } from "./etcd-errors.ts";
import { EtcdGrants } from "./etcd-grants.ts";
import type { EtcdEntry, EtcdTransport, EtcdWatchStream, WatchAnswer } from "./transport/etcd-transport.ts";
import { createLeaseLayout } from "./lease-layout.ts";
import { watchLeases } from "./watch-leases.ts";

const broken = new EtcdStatusError(GrpcStatus.unavailable, "connection reset");
const patience = { idleMs: 60_000, answerMs: 60_000, random: () => 0 };

/** What a member sends; an error ends the stream, "silence" is a read that only cancel ends. */
type Sent = Partial<WatchAnswer> | EtcdStatusError | "silence";

const progress = (revision: number): Sent => ({ revision: `${revision}` });
const put = (...revisions: number[]): Sent => ({
  revision: "999",
  events: revisions.map((revision) => ({ type: "put", entry: entryAt(revision) })),
});

function entryAt(revision: number): EtcdEntry {
  const key = Buffer.from(`/n/subnets/10.5.${revision % 256}.0-24`);
  const value = Buffer.from('{"PublicIP":"192.0.2.1","PublicIPv6":null}');
  return { key, value, createRevision: `${revision}`, modRevision: `${revision}`, version: "1", lease: "1" };
}

/** An etcd whose streams send what a script says; it notes where each watch starts and what is asked. */
class ScriptedEtcd {
  readonly log: string[] = [];
  readonly #streams: Sent[][];
  readonly #revision: string;

  constructor(revision: number, streams: readonly (readonly Sent[])[]) {
    this.#revision = `${revision}`;
    this.#streams = streams.map((script) => [...script]);
  }

  async take(since: string | undefined, howMany: number, waits = patience): Promise<LeaseEvent[]> {
    const transport = this.#transport();
    const grants = new EtcdGrants(transport, systemClock());
    const context = { transport, grants, layout: createLeaseLayout("/n") };
    const events: LeaseEvent[] = [];
    for await (const event of watchLeases(context, { since }, waits)) {
      events.push(event);
      if (events.length === howMany) break;
    }
    return events;
  }

  #transport(): EtcdTransport {
    const unused = (): never => {
      throw new Error("not scripted");
    };
    return {
      txn: unused,
      leaseGrant: unused,
      leaseRevoke: unused,
      leaseTimeToLive: unused,
      close: unused,
      range: async ({ limit }) => {
        this.log.push(limit === 1 ? "ask" : "list");
        return { revision: this.#revision, entries: [entryAt(3)], more: false };
      },
      watchStream: async ({ startRevision }) => {
        this.log.push(`watch ${startRevision}`);
        const script = this.#streams.shift();
        if (script === undefined) throw broken;
        return this.#stream(script);
      },
    };
  }

  #stream([created, ...script]: Sent[]): EtcdWatchStream {
    let stop = (): void => {};
    if (created === "silence") throw broken;
    return {
      endpoint: "http://member:2379",
      created: answerOf(created ?? {}),
      next: async () => {
        const sent = script.shift() ?? "silence";
        if (sent === "silence") {
          await new Promise<void>((resolve) => {
            stop = resolve;
          });
          throw new EtcdStatusError(GrpcStatus.cancelled, "cancelled");
        }
        return answerOf(sent);
      },
      requestProgress: () => void this.log.push("request progress"),
      cancel: () => stop(),
      abandon: () => void this.log.push("abandon"),
    };
  }
}

function answerOf(sent: Exclude<Sent, "silence">): WatchAnswer {
  if (sent instanceof EtcdStatusError) throw sent;
  const none = { created: false, canceled: false, compactRevision: "0", cancelReason: "", events: [] };
  return { revision: "999", clusterId: "1", ...none, ...sent };
}

const revisionsOf = (events: readonly LeaseEvent[]): string[] => events.map(({ revision }) => revision);

describe("watchLeases()", () => {
  test("goes on from the last event and not from what other messages say when a stream breaks", async () => {
    const etcd = new ScriptedEtcd(10, [
      [{}, put(11, 12), progress(5_000), broken],
      [progress(7_000), broken],
      [{}, put(13)],
    ]);
    expect(revisionsOf(await etcd.take("10", 3))).toEqual(["11", "12", "13"]);
    expect(etcd.log).toEqual(["watch 11", "abandon", "watch 13", "abandon", "watch 13"]);
  });

  test("starts with a snapshot and watches from its revision", async () => {
    const etcd = new ScriptedEtcd(10, [[{}, put(11)]]);
    const events = await etcd.take(undefined, 2);
    expect(events).toMatchObject([{ type: "snapshot", revision: "10" }, { type: "added" }]);
    expect(etcd.log).toEqual(["list", "watch 11"]);
  });

  test("tells a snapshot when etcd has forgotten the revision", async () => {
    const etcd = new ScriptedEtcd(50, [
      [{}, { canceled: true, compactRevision: "40" }],
      [{}, put(51)],
    ]);
    const events = await etcd.take("10", 2);
    expect(events).toMatchObject([{ type: "snapshot", revision: "50" }, { type: "added" }]);
    expect(etcd.log).toEqual(["watch 11", "list", "watch 51"]);
  });

  test("tells a snapshot when etcd's revisions went back", async () => {
    const etcd = new ScriptedEtcd(5, [[{ revision: "5" }], [{}]]);
    expect(await etcd.take("10", 1)).toMatchObject([{ type: "snapshot", revision: "5" }]);
    expect(etcd.log).toEqual(["watch 11", "ask", "list"]);
  });

  test("tells no snapshot when only one member lags behind", async () => {
    const etcd = new ScriptedEtcd(20, [[{ revision: "5" }, put(11)]]);
    expect(await etcd.take("10", 1)).toMatchObject([{ type: "added", revision: "11" }]);
    expect(etcd.log).toEqual(["watch 11", "ask"]);
  });

  test("tells a snapshot when another cluster answers at the same place", async () => {
    const etcd = new ScriptedEtcd(500, [[{}, put(11), broken], [{ clusterId: "2" }]]);
    expect(await etcd.take("10", 2)).toMatchObject([
      { type: "added" },
      { type: "snapshot", revision: "500" },
    ]);
  });

  test("asks a silent member whether it lives, and leaves it when it does not answer", async () => {
    const etcd = new ScriptedEtcd(10, [
      [{}, "silence"],
      [{}, put(11)],
    ]);
    expect(revisionsOf(await etcd.take("10", 1, { ...patience, idleMs: 5, answerMs: 5 }))).toEqual(["11"]);
    expect(etcd.log).toEqual(["watch 11", "request progress", "abandon", "watch 11"]);
  });

  test("gives a place to go on from that loses no event of the same revision", async () => {
    const etcd = new ScriptedEtcd(10, [[{}, put(11, 11, 12)]]);
    expect(revisionsOf(await etcd.take("10", 3))).toEqual(["10", "11", "12"]);
  });

  test("rejects with ERR_STORE_UNAVAILABLE when streams break off again and again", async () => {
    const etcd = new ScriptedEtcd(
      10,
      Array.from({ length: 4 }, () => [{}, broken]),
    );
    await expect(etcd.take("10", 1)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
  });

  test("watchLeases() tells that a lease is gone when its key gets a value that cannot be read", async () => {
    const garbage: EtcdEntry = { ...entryAt(8), value: Buffer.from("garbage"), version: "2" };
    const junk: EtcdEntry = { ...entryAt(9), key: Buffer.from("/n/subnets/nonsense") };
    const events = [garbage, junk].map((entry) => ({ type: "put" as const, entry }));
    const etcd = new ScriptedEtcd(5, [[{}, put(7), { revision: "9", events }, put(10)]]);
    const told = await etcd.take("5", 3);
    expect(told.map(({ type, revision }) => `${type} ${revision}`)).toEqual([
      "added 7",
      "removed 8",
      "added 10",
    ]);
  });
});
