import { parsePrefix } from "@loden/ip";
import { errno, KernelError } from "@loden/linux";
import {
  decodeNftChain,
  decodeNftRule,
  decodeNftTable,
  encodeNftChain,
  encodeNftRule,
  encodeNftTable,
  type NftFilter,
  NftMessageType,
} from "@loden/netlink";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallRules } from "./firewall-rules.ts";
import { formatFirewall } from "./format-firewall.ts";
import type { NftablesConnection, NftRequest, Refusal } from "./nftables-connection.ts";
import { NftablesFirewall, openFirewall } from "./open-firewall.ts";
import { planFirewall } from "./plan-firewall.ts";

const rules: FirewallRules = {
  networks: [{ network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") }],
  masquerade: {},
  forward: true,
};

/** A ruleset without chains of others: keeps what is added, forgets it with its table, and refuses what it is told to. */
class FakeConnection implements NftablesConnection {
  refuse: (request: NftRequest) => number | undefined = () => undefined;
  /** Called before each commit, as if somebody else were at work. */
  meddle: () => void = () => undefined;
  commits = 0;
  closed = false;
  #generation = 1;
  #objects: { readonly type: number; readonly payload: Uint8Array }[] = [];

  generation(): number {
    return this.#generation;
  }

  change(): void {
    this.#generation += 1;
  }

  dump<T>(type: number, { family = 0 }: NftFilter, read: (payload: Uint8Array) => T): T[] {
    return this.#objects
      .filter((one) => one.type === type - 1 && (family === 0 || one.payload[0] === family))
      .map(({ payload }) => read(payload));
  }

  commit(generation: number, requests: readonly NftRequest[]): "stale" | readonly Refusal[] {
    this.meddle();
    if (generation !== this.#generation) return "stale";
    this.commits += 1;
    const refusals = requests.flatMap((request): Refusal[] => {
      const number = this.refuse(request);
      const attempt = request.attempt();
      return number === undefined
        ? []
        : [{ request, error: new KernelError({ attempt, syscall: "netlink", errno: number }) }];
    });
    if (refusals.length === 0) for (const request of requests) this.#carryOut(request);
    return refusals;
  }

  /** Somebody flushes the ruleset. */
  flush(): void {
    this.#objects = [];
    this.change();
  }

  /** Packets come by every rule that counts. */
  count(packets: bigint, bytes: bigint): void {
    this.#objects = this.#objects.map((one) => {
      if (one.type !== NftMessageType.newRule) return one;
      const { expressions = [], ...rule } = decodeNftRule(one.payload);
      const counted = expressions.map((step) =>
        step.kind === "counter" ? { ...step, packets, bytes } : step,
      );
      return { ...one, payload: encodeNftRule({ ...rule, expressions: counted }) };
    });
  }

  close(): void {
    this.closed = true;
  }

  #carryOut({ type, payload }: NftRequest): void {
    this.#generation += 1;
    if (type !== NftMessageType.deleteTable) this.#objects.push({ type, payload: listed(type, payload) });
    else this.#objects = this.#objects.filter((one) => tableOf(one) !== tableOf({ type, payload }));
  }
}

/** What was asked for as it is listed. */
function listed(type: number, payload: Uint8Array): Uint8Array {
  if (type === NftMessageType.newTable) return encodeNftTable({ ...decodeNftTable(payload), handle: 1n });
  if (type === NftMessageType.newChain) return encodeNftChain({ ...decodeNftChain(payload), handle: 1n });
  return encodeNftRule({ ...decodeNftRule(payload), handle: 1n });
}

function tableOf({ type, payload }: { readonly type: number; readonly payload: Uint8Array }): string {
  if (type === NftMessageType.newChain) return `${payload[0]} ${decodeNftChain(payload).table}`;
  if (type === NftMessageType.newRule) return `${payload[0]} ${decodeNftRule(payload).table}`;
  return `${payload[0]} ${decodeNftTable(payload).name}`;
}

let connection: FakeConnection;
let events: unknown[];
const record = (message: unknown): void => void events.push(message);

beforeEach(() => {
  connection = new FakeConnection();
  events = [];
  subscribe("loden:firewall", record);
});
afterEach(() => unsubscribe("loden:firewall", record));

function open(legacy: readonly string[] = []): NftablesFirewall {
  return new NftablesFirewall(connection, { table: "loden", netns: "host1", legacy: () => legacy });
}

function textOf(options: Parameters<typeof planFirewall>[1]): string[] {
  return formatFirewall(planFirewall(rules, options)).split("\n").slice(0, -1);
}

describe("kernels that lack something", () => {
  test("apply() makes tables ip and ip6 when the kernel refuses NAT in inet", async () => {
    connection.refuse = ({ type, payload }) =>
      type === NftMessageType.newChain && payload[0] === 1 && decodeNftChain(payload).type === "nat"
        ? errno.ENOENT
        : undefined;
    const firewall = open();
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await firewall.apply(rules)).toEqual({ changed: false });
    expect(await firewall.list()).toEqual(textOf({ inet: false }));
    const origin = { netns: "host1", firewall: "loden" };
    expect(events).toEqual([
      { type: "downgraded", feature: "inet nat", ...origin },
      { type: "changed", ...origin },
    ]);
  });

  test("apply() makes tables ip and ip6 when the kernel does not know inet at all", async () => {
    connection.refuse = ({ payload }) => (payload[0] === 1 ? errno.EAFNOSUPPORT : undefined);
    const firewall = open();
    await firewall.apply(rules);
    expect(await firewall.list()).toEqual(textOf({ inet: false }));
  });

  test("apply() masquerades without fully random ports when the kernel refuses them", async () => {
    connection.refuse = ({ type, payload }) =>
      type === NftMessageType.newRule &&
      decodeNftRule(payload).expressions?.some((one) => one.kind === "masquerade" && one.flags !== 0)
        ? errno.EINVAL
        : undefined;
    expect(await open().apply(rules)).toEqual({ changed: true });
    // another process finds the lack again, and the table as it should be
    const another = open();
    expect(await another.apply(rules)).toEqual({ changed: false });
    expect(await another.list()).toEqual(textOf({ fullyRandom: false }));
  });

  test("apply() rejects with the first refusal when nothing that the kernel may lack explains it", async () => {
    connection.refuse = ({ type }) => (type === NftMessageType.newTable ? errno.EPERM : errno.ENOENT);
    await expect(open().apply(rules)).rejects.toMatchObject({
      code: "EPERM",
      message: expect.stringMatching(/^Cannot add table inet loden: /),
    });
    expect(connection.commits).toBe(1);
    // refuses whatever is tried
    connection.refuse = () => errno.EOPNOTSUPP;
    await expect(open().apply(rules)).rejects.toMatchObject({ errno: errno.EOPNOTSUPP });
  });
});

describe("others at work", () => {
  test("apply() reads again when the ruleset changed between reading and writing", async () => {
    let times = 3;
    connection.meddle = () => {
      if (times-- > 0) connection.change();
    };
    expect(await open().apply(rules)).toEqual({ changed: true });
    expect(connection.commits).toBe(1);
  });

  test("apply() rejects with EAGAIN when others never stop", async () => {
    connection.meddle = () => connection.change();
    await expect(open().apply(rules)).rejects.toMatchObject({ code: "EAGAIN" });
    expect(connection.commits).toBe(0);
  });

  test("apply() rejects with the signal's reason when it is aborted between attempts", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    connection.meddle = () => {
      connection.change();
      controller.abort(reason);
    };
    const firewall = open();
    await expect(firewall.apply(rules, { signal: controller.signal })).rejects.toBe(reason);
    await expect(firewall.list({ signal: controller.signal })).rejects.toBe(reason);
    await expect(firewall.clear({ signal: controller.signal })).rejects.toBe(reason);
  });

  test("apply() and clear() end in the state of the last call when they are not awaited", async () => {
    const firewall = open();
    const calls = [firewall.apply(rules), firewall.clear(), firewall.apply(rules), firewall.clear()];
    expect(await Promise.all(calls)).toEqual(calls.map(() => ({ changed: true })));
    expect(await firewall.list()).toEqual([]);
    await Promise.allSettled([firewall.apply({ ...rules, networks: [rules.networks[0]!] }), firewall.list()]);
    expect(await firewall.list()).toEqual(textOf({}));
  });

  test("apply() publishes tables of iptables-legacy once, and list() says that they cannot be seen", async () => {
    const firewall = open(["filter", "nat"]);
    await firewall.apply(rules);
    await firewall.apply(rules);
    expect(events).toMatchObject([{ type: "changed" }, { type: "unseen", tables: ["filter", "nat"] }]);
    expect((await firewall.list()).at(-1)).toBe(
      "# iptables-legacy has tables here (filter, nat), whose rules nftables cannot see",
    );
  });
});

describe("repairs", () => {
  let notice: () => void;
  let watches: number;
  const openRepairing = (): NftablesFirewall => {
    watches = 0;
    return new NftablesFirewall(connection, {
      table: "loden",
      legacy: () => [],
      watch(onChange) {
        watches += 1;
        notice = onChange;
        return { [Symbol.dispose]: () => void (watches -= 1) };
      },
    });
  };

  test("openFirewall() says once that a repair fails, and goes on until it succeeds", async () => {
    using firewall = openRepairing();
    await firewall.apply(rules);
    connection.flush();
    const again = Promise.withResolvers<void>();
    connection.refuse = () => {
      if (connection.commits === 3) again.resolve();
      return errno.EPERM;
    };
    notice();
    await again.promise;
    connection.refuse = () => undefined;
    const done = Promise.withResolvers<void>();
    connection.meddle = () => setImmediate(done.resolve);
    await done.promise;
    expect(events).toMatchObject([
      { type: "changed" },
      { type: "failed", error: { code: "EPERM" } },
      { type: "repaired" },
    ]);
    expect(await firewall.list()).toEqual(textOf({}));
  });

  test("close() ends the watch, and what had been noticed is not looked at any more", async () => {
    const firewall = openRepairing();
    await firewall.apply(rules);
    notice();
    firewall.close();
    firewall.close();
    connection.flush();
    notice();
    expect(watches).toBe(0);
    expect(connection.commits).toBe(1);
  });
});

test("apply() lets counters go on when the table is replaced, and counts() reads them", async () => {
  const forgery = { ports: [8285], links: ["eth0"] };
  const firewall = open();
  expect(await firewall.counts()).toEqual({ forged: { packets: 0, bytes: 0 } });
  await firewall.apply({ ...rules, forgery });
  connection.count(3n, 300n);
  // The chain `forged` and the rule of the chain `input`.
  const forged = { packets: 6, bytes: 600 };
  expect(await firewall.counts()).toEqual({ forged });
  expect(await firewall.apply({ ...rules, forgery })).toEqual({ changed: false });
  expect(await firewall.apply({ ...rules, forgery, masquerade: undefined })).toEqual({ changed: true });
  expect(await firewall.counts()).toEqual({ forged });
  await firewall.clear();
  await firewall.apply({ ...rules, forgery });
  expect(await firewall.counts()).toEqual({ forged: { packets: 0, bytes: 0 } });
});

test("close() closes the connection, and so does using", () => {
  open().close();
  expect(connection.closed).toBe(true);
  connection.closed = false;
  open()[Symbol.dispose]();
  expect(connection.closed).toBe(true);
});

test("openFirewall() refuses a name that is none", () => {
  expect(() => openFirewall({ table: "a b" })).toThrow(RangeError);
});
