/**
 * What every backend must do, as cases that any test runner can run: ours for our adapters, yours for your own. They use
 * node:assert and import no test runner.
 *
 * @example Run them on a backend of your own, here the double in memory
 * ```ts
 * import { backendConformance } from "@loden/backend/conformance";
 * import { createMemoryBackend } from "@loden/backend/testing";
 * import { parseAddress } from "@loden/ip";
 *
 * const underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
 * const moved = { link: "eth0", mtu: 1400, ipv4: parseAddress("192.0.2.51") };
 * for (const { run } of backendConformance) await run({ open: async () => createMemoryBackend(), underlay, moved });
 * ```
 *
 * @module
 */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import { parseNetworkConfig } from "@loden/subnet";
import type { BackendEvent } from "./backend-event.ts";
import type { Backend, Membership } from "./backend.ts";
import type { Underlay } from "./underlay.ts";

/** What a conformance case works with. */
export interface BackendConformanceContext {
  /** Opens a backend that has not joined, in a place of its own. The case closes it. */
  readonly open: () => Promise<Backend>;
  /** The underlay on which it is opened. */
  readonly underlay: Underlay;
  /** The same interface with other addresses, which the place has too, and an MTU that is less. */
  readonly moved: Underlay;
  /** What the host with this number publishes; by default what the backend does, with the public address `192.0.2.NUMBER`. */
  readonly peerAttributes?: ((backend: Backend, number: number) => LeaseAttributes) | undefined;
}

/** One case of {@link backendConformance}. */
export interface BackendConformanceCase {
  /** What holds when it passes. */
  readonly title: string;
  /** Rejects when it does not hold. */
  readonly run: (context: BackendConformanceContext) => Promise<void>;
}

const network = parseNetworkConfig('{"Network":"10.5.0.0/16"}');

/** The cases. Each needs a context of its own. */
export const backendConformance: readonly BackendConformanceCase[] = [
  {
    title: "type, MTU and attributes are there before join()",
    async run({ open }) {
      await using backend = await open();
      assert.match(backend.type, /^[a-z][a-z0-9-]*$/);
      assert(Number.isInteger(backend.mtu) && backend.mtu >= 68, `the MTU is ${backend.mtu}`);
      assert(backend.attributes.publicIP !== undefined || backend.attributes.publicIPv6 !== undefined);
    },
  },
  {
    title: "stats() are all zero before anything has happened",
    async run({ open }) {
      await using backend = await open();
      const { peers, outbound, inbound, icmpSent, icmpSuppressed, restarts } = backend.stats();
      const sums = [outbound, inbound].flatMap(({ packets, bytes, dropped }) => [
        packets,
        bytes,
        ...Object.values(dropped),
      ]);
      assert.deepEqual(new Set([peers, icmpSent, icmpSuppressed, restarts, ...sums]), new Set([0]));
    },
  },
  {
    title: "join() is refused a second time",
    async run({ open }) {
      await using backend = await open();
      await backend.join(membershipOf(backend));
      await assert.rejects(backend.join(membershipOf(backend)), TypeError);
    },
  },
  {
    title: "join() is refused after close()",
    async run({ open }) {
      const backend = await open();
      await backend.close();
      await assert.rejects(backend.join(membershipOf(backend)), TypeError);
    },
  },
  {
    title: "apply() makes the given leases the peers, all of them and no others",
    async run({ open, peerAttributes }) {
      await using backend = await open();
      await backend.join(membershipOf(backend));
      const [first, second, third] = [2, 3, 4].map((number) => peerOf(backend, number, peerAttributes)) as [
        Lease,
        Lease,
        Lease,
      ];
      await backend.apply([first, second]);
      assert.equal(backend.stats().peers, 2);
      await backend.apply([second, third, first]);
      assert.equal(backend.stats().peers, 3);
      await backend.apply([third]);
      assert.equal(backend.stats().peers, 1);
      await backend.apply([]);
      assert.equal(backend.stats().peers, 0);
    },
  },
  {
    title: "apply() is idempotent, and takes a peer that moved",
    async run({ open, peerAttributes }) {
      await using backend = await open();
      await backend.join(membershipOf(backend));
      const peer = peerOf(backend, 2, peerAttributes);
      for (let i = 0; i < 3; i++) await backend.apply([peer]);
      const moved: Lease = {
        ...peer,
        attributes: { ...peer.attributes, publicIP: parseAddress("192.0.2.77") },
      };
      await backend.apply([moved]);
      assert.equal(backend.stats().peers, 1);
    },
  },
  {
    title: "apply() works before join()",
    async run({ open, peerAttributes }) {
      await using backend = await open();
      await backend.apply([peerOf(backend, 2, peerAttributes)]);
      await backend.join(membershipOf(backend));
      assert.equal(backend.stats().peers, 1);
    },
  },
  {
    title: "apply() leaves out a lease that can't be served, and takes the others",
    async run({ open, peerAttributes }) {
      await using backend = await open();
      await backend.join(membershipOf(backend));
      const nowhere: Lease = {
        ...peerOf(backend, 3, peerAttributes),
        attributes: { backendType: backend.attributes.backendType },
      };
      await backend.apply([nowhere, peerOf(backend, 2, peerAttributes)]);
      assert.equal(backend.stats().peers, 1);
    },
  },
  {
    title: "apply() with a bad lease leaves out that one alone, wherever it stands, and says once why",
    async run({ open, peerAttributes }) {
      await using backend = await open();
      await backend.join(membershipOf(backend));
      const others = [2, 3].map((number) => peerOf(backend, number, peerAttributes));
      const { attributes } = peerOf(backend, 7, peerAttributes);
      for (const [text, publicIP] of badLeases(backend)) {
        const ipv4 = parsePrefix(text);
        const bad: Lease = {
          subnet: { ipv4 },
          attributes: {
            ...attributes,
            publicIP: publicIP === undefined ? undefined : parseAddress(publicIP),
          },
          expiresAt: undefined,
          revision: "1",
        };
        using skipped = hearSkipped(text);
        const what = `${text} at ${publicIP ?? "no address"}`;
        for (const peers of [
          [bad, ...others],
          [...others, bad],
          [bad, ...others],
        ]) {
          await backend.apply(peers);
          assert.equal(backend.stats().peers, others.length, what);
        }
        assert.equal(
          skipped.reasons.length,
          1,
          `${what}: ${skipped.reasons.join("; ") || "no reason given"}`,
        );
        await backend.apply(others);
      }
    },
  },
  {
    title: "setUnderlay() changes the MTU and the attributes, keeps the peers, before and after join()",
    async run({ open, underlay, moved, peerAttributes }) {
      for (const isFirst of [true, false]) {
        await using backend = await open();
        const [mtu, attributes] = [backend.mtu, backend.attributes];
        await backend.apply([peerOf(backend, 2, peerAttributes)]);
        if (!isFirst) await backend.join(membershipOf(backend));
        await backend.setUnderlay(underlay);
        assert.equal(backend.attributes, attributes);
        await backend.setUnderlay(moved);
        assert.equal(backend.mtu, mtu - (underlay.mtu - moved.mtu));
        for (const [published, family] of [
          ["publicIP", "ipv4"],
          ["publicIPv6", "ipv6"],
        ] as const) {
          const expected = attributes[published] && moved[family];
          assert.equal(backend.attributes[published]?.toString(), expected?.toString());
        }
        if (isFirst) await backend.join(membershipOf(backend));
        assert.equal(backend.stats().peers, 1);
        await backend.setUnderlay(underlay);
        assert.equal(backend.mtu, mtu);
        assert.deepEqual(backend.attributes, attributes);
        assert.equal(backend.stats().peers, 1);
      }
    },
  },
  {
    title: "explain() says what there would be, and makes nothing of it",
    async run({ open }) {
      await using backend = await open();
      const text = await backend.explain(membershipOf(backend), [peerOf(backend, 2)]);
      for (const line of text.split("\n")) assert.match(line, /^(?:#|ip |bridge |sysctl |ethtool |$)/);
      assert.equal(backend.stats().peers, 0);
      await backend.join(membershipOf(backend));
    },
  },
  {
    title: "close() may be called again",
    async run({ open }) {
      const backend = await open();
      await backend.join(membershipOf(backend));
      await backend.close();
      await backend.close();
    },
  },
];

/** Subnets and public addresses that no other host can have, where hosts 2 and 3 are peers. */
function badLeases({ attributes }: Backend): readonly (readonly [string, string | undefined])[] {
  const fine = "192.0.2.7";
  return [
    ...[
      undefined,
      "0.0.0.0",
      "0.0.0.9",
      "127.0.0.1",
      "224.0.0.5",
      "255.255.255.255",
      "10.5.7.7",
      "2001:db8::7",
      attributes.publicIP?.toString(),
    ].map((publicIP) => ["10.5.7.0/24", publicIP] as const),
    // Outside of the network, and more than it.
    ["10.6.7.0/24", fine],
    ["0.0.0.0/0", fine],
    // This host's own, and parts of it and of a peer's.
    ["10.5.1.0/24", fine],
    ["10.5.1.0/25", fine],
    ["10.5.0.0/20", fine],
    ["10.5.2.0/25", fine],
    ["10.5.2.128/25", fine],
    ["10.5.2.0/23", fine],
  ];
}

function hearSkipped(subnet: string): Disposable & { readonly reasons: readonly string[] } {
  const reasons: string[] = [];
  const listen = (message: unknown): void => {
    const event = message as BackendEvent;
    if (event.type === "peerSkipped" && event.subnet === subnet) reasons.push(event.reason);
  };
  subscribe("loden:backend", listen);
  return { reasons, [Symbol.dispose]: () => void unsubscribe("loden:backend", listen) };
}

function membershipOf(backend: Backend): Membership {
  const subnet = { ipv4: parsePrefix("10.5.1.0/24") };
  return { network, lease: { subnet, attributes: backend.attributes, expiresAt: undefined, revision: "1" } };
}

function peerOf(
  backend: Backend,
  number: number,
  peerAttributes: BackendConformanceContext["peerAttributes"] = ({ attributes }) => ({
    ...attributes,
    publicIP: parseAddress(`192.0.2.${number}`),
  }),
): Lease {
  return {
    subnet: { ipv4: parsePrefix(`10.5.${number}.0/24`) },
    attributes: peerAttributes(backend, number),
    expiresAt: undefined,
    revision: "1",
  };
}
