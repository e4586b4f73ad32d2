import { once } from "node:events";
import { connect } from "node:net";
import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import type { StateObject } from "@loden/route";
import { parseNetworkConfig } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { ExitCode } from "../exit/exit-codes.ts";
import type { NodeState } from "../run-node.ts";
import { formatMetrics } from "./format-metrics.ts";
import { openHttpServer } from "./http-server.ts";
import { readMetrics } from "./metrics.ts";
import { NodeHealth } from "./node-health.ts";
import { probeAnswers } from "./probe-answers.ts";

const lease: Lease = {
  subnet: { ipv4: parsePrefix("10.1.5.0/24") },
  attributes: { publicIP: parseAddress("192.0.2.1"), backendType: "" },
  expiresAt: 86_400_000,
  revision: "7",
};

function traffic(packets: number): { packets: number; bytes: number; dropped: Record<string, number> } {
  return { packets, bytes: packets * 100, dropped: { noRoute: packets / 2 } };
}

function joinedNode(): NodeState {
  const stats = {
    peers: 1,
    outbound: traffic(4),
    inbound: traffic(6),
    icmpSent: 1,
    icmpSuppressed: 0,
    restarts: 0,
  };
  const kernelPath = { on: false, reason: "it is switched off" };
  const backend = {
    type: "udp",
    mtu: 1_472,
    attributes: lease.attributes,
    kernelPath,
    wakeups: 9,
    stats: () => stats,
  };
  const network = parseNetworkConfig('{"Network":"10.1.0.0/16"}');
  return { lease, network, backend: backend as unknown as NodeState["backend"] };
}

function readyHealth(): NodeHealth {
  const health = new NodeHealth();
  health.onEvent({ type: "acquired", lease });
  health.node = joinedNode();
  health.onEvent({ type: "peers", count: 1, peers: [{ ...lease, revision: "8" }], changes: [] });
  health.set({ firewall: { isWanted: true, isApplied: true, error: undefined } });
  return health;
}

describe("NodeHealth", () => {
  test("problems() ends when lease, peers and firewall are there", () => {
    const health = new NodeHealth();
    expect(health.problems()).toEqual(["it has not joined yet"]);
    health.waiting = "it waits: no etcd";
    expect(health.problems()).toEqual(["it waits: no etcd"]);
    expect(readyHealth().problems()).toEqual([]);
  });

  test("problems() comes back with each thing that goes wrong, and ends again", () => {
    const health = readyHealth();
    health.onEvent({ type: "unconfirmed" });
    health.onEvent({ type: "fenced" });
    expect(health.problems()).toHaveLength(2);
    health.onEvent({ type: "renewed", lease });
    expect(health.problems()).toEqual([]);
    health.onEvent({ type: "lost", reason: "deleted" });
    expect(health.problems()).toEqual(["the lease is lost, and no other is acquired yet"]);
    health.onEvent({ type: "acquired", lease });
    health.set({ firewall: { isWanted: true, isApplied: false, error: new Error("refused") } });
    expect(health.problems()).toEqual(["the firewall's rules are not in place: refused"]);
    health.set({ firewall: { ...health.firewall, isWanted: false } });
    expect([health.problems(), health.warnings()]).toEqual([[], ["the firewall: refused"]]);
  });
});

describe("NodeHealth, of the kernel's state,", () => {
  const route = (destination: string, link: string): StateObject => ({
    type: "route",
    route: { destination: parsePrefix(destination), link },
  });

  test("problems() tells of a missing route of the whole network until it is repaired", () => {
    const health = readyHealth();
    const object = route("10.1.0.0/16", "loden0");
    health.onDiagnostic("route", "removed", { object });
    expect(health.problems()).toEqual([]);
    health.onDiagnostic("route", "conflict", { object, other: route("10.1.0.0/16", "eth0") });
    health.onEvent({ type: "peers", count: 0, peers: [], changes: [] });
    expect(health.problems()).toEqual([
      "route 10.1.0.0/16 dev loden0 is missing: route 10.1.0.0/16 dev eth0 is in its place; remove that one",
    ]);
    health.onDiagnostic("route", "repaired", { object });
    expect([health.problems(), health.warnings()]).toEqual([[], []]);
  });

  test("warnings() tell of what a single peer lacks until peers are applied again", () => {
    const health = readyHealth();
    const object = route("10.1.6.0/24", "eth0");
    health.onDiagnostic("route", "failed", { object, error: new Error("network is down") });
    expect(health.problems()).toEqual([]);
    expect(health.warnings()).toEqual(["route 10.1.6.0/24 dev eth0 is missing: network is down"]);
    health.onEvent({ type: "peers", count: 0, peers: [], changes: [] });
    expect(health.warnings()).toEqual([]);
  });
});

describe("readMetrics()", () => {
  test("tells of leases, peers, renewals, traffic, drops by reason and errors", () => {
    const health = readyHealth();
    health.onEvent({ type: "renewed", lease });
    health.onEvent({ type: "retrying", doing: "renewing", error: new Error("no answer") });
    health.onDiagnostic("route", "removed");
    health.forged = { packets: 5, bytes: 700 };
    health.store = {
      calls: new Map([["renew", 2]]),
      errors: new Map([["renew", 1]]),
      outage: undefined,
      watchBrokenSince: 500,
    };
    const text = formatMetrics(readMetrics(health, "1.2.3", 3_000));
    for (const line of [
      'loden_info{version="1.2.3",backend="udp",subnet="10.1.5.0/24"} 1',
      "loden_ready 1",
      "loden_leases 2",
      "loden_peers 1",
      "loden_lease_expiry_timestamp_seconds 86400",
      "loden_lease_renewals_total 1",
      "loden_lease_retries_total 1",
      "loden_watch_lag_seconds 2.5",
      "loden_forged_datagrams_total 5",
      "loden_kernel_path 0",
      "loden_pump_wakeups_total 9",
      'loden_store_requests_total{operation="renew"} 2',
      'loden_store_errors_total{operation="renew"} 1',
      'loden_packets_total{direction="outbound"} 4',
      'loden_bytes_total{direction="inbound"} 600',
      'loden_dropped_packets_total{direction="inbound",reason="noRoute"} 3',
      'loden_events_total{area="route",type="removed"} 1',
    ])
      expect(text.split("\n")).toContain(line);
  });
});

describe("formatMetrics()", () => {
  test("writes help, type and samples, escapes labels, and leaves out what has no value", () => {
    const family = { type: "gauge", help: "A \\ and\na line" } as const;
    const text = formatMetrics([
      { ...family, name: "a", samples: [[1, { what: 'say "\\"\n' }], [undefined]] },
      { ...family, name: "b", samples: [[undefined]] },
    ]);
    expect(text).toBe('# HELP a A \\\\ and\\na line\n# TYPE a gauge\na{what="say \\"\\\\\\"\\n"} 1\n');
  });
});

describe("openHttpServer()", () => {
  test("serves probes, 404 and 405, and errors as 500", async () => {
    const answers = {
      ...probeAnswers(readyHealth(), "1.2.3"),
      "/broken": () => {
        throw new Error("no luck");
      },
    };
    await using server = await openHttpServer({ ip: "127.0.0.1", port: 0 }, answers);
    const ask = async (path: string, method = "GET"): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return `${answer.status} ${await answer.text()}`;
    };
    expect(await ask("/healthz")).toBe("200 lodend is running\n");
    expect(await ask("/readyz?verbose")).toBe("200 lodend is ready\n");
    expect(await ask("/metrics")).toContain("loden_ready 1\n");
    expect(await ask("/")).toBe("404 there is nothing here\n");
    expect(await ask("/toString")).toBe("404 there is nothing here\n");
    expect(await ask("/healthz", "POST")).toBe("405 only GET\n");
    expect(await ask("/broken")).toBe("500 no luck\n");
  });

  test("names the port that is taken", async () => {
    await using server = await openHttpServer({ ip: "127.0.0.1", port: 0 }, {});
    const second = openHttpServer({ ip: "127.0.0.1", port: server.port }, {});
    await expect(second).rejects.toMatchObject({
      exitCode: ExitCode.host,
      message: `Cannot listen at 127.0.0.1:${server.port}: another program has it, expected a free place`,
    });
  });

  test("ends although a client stays connected", async () => {
    const server = await openHttpServer({ ip: "127.0.0.1", port: 0 }, {});
    const client = connect(server.port, "127.0.0.1");
    await once(client, "connect");
    const closed = once(client, "close");
    await server[Symbol.asyncDispose]();
    await closed;
  });
});
