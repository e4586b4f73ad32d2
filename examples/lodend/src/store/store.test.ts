import { createMemoryLeaseStore, createMemoryStorage } from "@loden/lease-memory";
import { parsePrefix } from "@loden/ip";
import type { LeaseStore } from "@loden/lease";
import { parseNetworkConfig } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { explainNetworkChange } from "./explain-network-change.ts";
import { observeStore } from "./observe-store.ts";
import { waitForNetwork } from "./wait-for-network.ts";

function codedError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function storeThatFails(...errors: readonly Error[]): LeaseStore {
  const waiting = [...errors];
  const store = createMemoryLeaseStore(createMemoryStorage({ config: '{"Network":"10.1.0.0/16"}' }));
  const getNetwork = store.getNetwork.bind(store);
  return Object.assign(store, {
    getNetwork: async () => {
      const error = waiting.shift();
      if (error !== undefined) throw error;
      return await getNetwork();
    },
  });
}

describe("waitForNetwork()", () => {
  const signal = new AbortController().signal;

  test("waits for a missing configuration, and says so once", async () => {
    const missing = codedError("ERR_NETWORK_CONFIG_MISSING");
    const said: Error[] = [];
    const store = storeThatFails(missing, missing);
    await waitForNetwork(store, { unreachableMs: 0, signal, onWaiting: (error) => said.push(error) });
    expect(said).toEqual([missing]);
  });

  test("throws at once what waiting does not mend", async () => {
    for (const code of ["ERR_NETWORK_CONFIG", "ERR_STORE_DENIED"]) {
      const wait = waitForNetwork(storeThatFails(codedError(code)), { unreachableMs: Infinity, signal });
      await expect(wait).rejects.toThrow(code);
    }
  });

  test("waits for a store that is away as long as it is told to", async () => {
    const away = codedError("ERR_STORE_UNAVAILABLE");
    await waitForNetwork(storeThatFails(away), { unreachableMs: Infinity, signal });
    const impatient = waitForNetwork(storeThatFails(away), { unreachableMs: 0, signal });
    await expect(impatient).rejects.toBe(away);
  });

  test("ends when its signal aborts", async () => {
    const stop = new AbortController();
    const wait = waitForNetwork(storeThatFails(codedError("ERR_NETWORK_CONFIG_MISSING")), {
      unreachableMs: 0,
      signal: stop.signal,
      onWaiting: () => stop.abort(),
    });
    await expect(wait).rejects.toThrow("aborted");
  });
});

describe("observeStore()", () => {
  test("counts calls and errors, and forgets an outage when the store answers", async () => {
    const away = codedError("ERR_STORE_UNAVAILABLE");
    const told: (Error | undefined)[] = [];
    const onOutage = (error: Error | undefined): void => void told.push(error);
    const { store, observations } = observeStore(storeThatFails(away, away), { onOutage });
    await expect(store.getNetwork()).rejects.toBe(away);
    expect(observations.outage).toBe(away);
    await expect(store.getNetwork()).rejects.toBe(away);
    await store.getNetwork();
    expect(observations.outage).toBeUndefined();
    await store.getNetwork();
    expect(told).toEqual([away, undefined]);
    expect([...observations.calls, ...observations.errors]).toEqual([
      ["getNetwork", 4],
      ["getNetwork", 2],
    ]);
  });

  test("takes a missing configuration for an answer", async () => {
    const missing = codedError("ERR_NETWORK_CONFIG_MISSING");
    const { store, observations } = observeStore(storeThatFails(missing));
    await expect(store.getNetwork()).rejects.toBe(missing);
    expect(observations.outage).toBeUndefined();
  });

  test("tells since when the watch is broken, until it follows again", async () => {
    let now = 1_000;
    const working = storeThatFails();
    let isBroken = true;
    const watch = working.watch.bind(working);
    working.watch = (options) => {
      if (isBroken) throw codedError("ERR_STORE_UNAVAILABLE");
      return watch(options);
    };
    const { store, observations } = observeStore(working, { now: () => now });
    await expect(store.watch()[Symbol.asyncIterator]().next()).rejects.toThrow("ERR_STORE_UNAVAILABLE");
    now = 9_000;
    expect(observations.watchBrokenSince).toBe(1_000);
    isBroken = false;
    const events = store.watch()[Symbol.asyncIterator]();
    await events.next();
    expect(observations.watchBrokenSince).toBeUndefined();
    await events.return?.();
  });
});

describe("explainNetworkChange()", () => {
  const held = { ipv4: parsePrefix("10.1.5.0/24") };
  const changes = (before: string, after: string): (readonly [string, boolean])[] =>
    explainNetworkChange(parseNetworkConfig(before), parseNetworkConfig(after), held).map((change) => [
      change.what,
      change.needsRestart,
    ]);

  test("finds nothing where both mean the same", () => {
    const other = '{"network":"10.1.0.0/16","SubnetLen":24,"Backend":{"Type":"UDP"}}';
    expect(changes('{"Network":"10.1.0.0/16","Backend":{"type":"UDP"}}', other)).toEqual([]);
  });

  test.each([
    ['{"Network":"10.2.0.0/16"}', "Network is 10.2.0.0/16 instead of 10.1.0.0/16", true],
    [
      '{"Network":"10.1.0.0/16","SubnetMax":"10.1.9.0"}',
      "SubnetMax is 10.1.9.0 instead of 10.1.255.0",
      false,
    ],
    ['{"Network":"10.1.0.0/16","SubnetMax":"10.1.4.0"}', "SubnetMax is 10.1.4.0 instead of 10.1.255.0", true],
    ['{"Network":"10.1.0.0/16","Backend":{"Type":"vxlan"}}', "Backend.Type is vxlan instead of udp", true],
    [
      '{"Network":"10.1.0.0/16","Loden":{"Assignments":{"host-a":"10.1.8.0/24"}}}',
      "Loden.Assignments is host-a 10.1.8.0/24 instead of absent",
      false,
    ],
    ['{"Network":"10.1.0.0/16","EnableNFTables":true}', "EnableNFTables is true instead of false", false],
    [
      '{"Network":"10.1.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}',
      "EnableIPv6 is true instead of false",
      true,
    ],
  ])("explains %s", (after, what, needsRestart) => {
    expect(changes('{"Network":"10.1.0.0/16"}', after)).toContainEqual([what, needsRestart]);
  });

  test("shows no option of a backend", () => {
    const before = '{"Network":"10.1.0.0/16","Backend":{"Type":"wireguard","PSK":"one"}}';
    const found = changes(before, before.replace("one", "two"));
    expect(found).toEqual([["the options of Backend changed", true]]);
  });
});
