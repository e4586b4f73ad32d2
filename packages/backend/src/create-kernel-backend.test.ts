import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { formatSubnet, parseNetworkConfig } from "@loden/subnet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backendConformance } from "./conformance.ts";
import {
  type BackendEvent,
  createKernelBackend,
  type KernelDriver,
  listPeerSubnets,
  type Membership,
  type Underlay,
  type Wanted,
} from "./index.ts";

const underlay: Underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
const moved: Underlay = { link: "eth0", mtu: 1400, ipv4: parseAddress("192.0.2.51") };
const membership: Membership = {
  network: parseNetworkConfig('{"Network":"10.5.0.0/16"}'),
  lease: leaseOf(1),
};

/** Writes down what it is told; a peer without an address is one that it can't serve. */
class Recorder implements KernelDriver {
  readonly type = "recorder";
  readonly calls: string[] = [];
  /** What `program` fails with, once. */
  failure: Error | undefined;
  /** Resolved when the kernel has changed. */
  change: PromiseWithResolvers<boolean> = Promise.withResolvers();
  /** Something of its own that is published. */
  data = "a";

  publish({ mtu, ipv4 }: Underlay) {
    if (ipv4 === undefined)
      throw new TypeError("Cannot use the underlay: it has no IPv4 address, expected one");
    return { mtu: mtu - 50, attributes: { publicIP: ipv4, backendType: "recorder", backendData: this.data } };
  }

  async program({ underlay: { mtu }, peers, ...own }: Wanted) {
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    this.calls.push(`program ${mtu} ${peers.map(({ subnet }) => formatSubnet(subnet)).join(" ")}`.trim());
    return listPeerSubnets({ backendType: this.type, membership: own, peers });
  }

  watch(signal: AbortSignal) {
    return [this.changes(signal)];
  }

  async *changes(signal: AbortSignal) {
    signal.addEventListener("abort", () => this.change.resolve(false));
    while (await this.change.promise) {
      this.change = Promise.withResolvers();
      yield;
    }
    this.calls.push("watched");
  }

  async explain({ peers }: Wanted): Promise<string> {
    return `# ${peers.length} peers\n`;
  }

  async clear() {
    this.calls.push("clear");
  }

  close() {
    this.calls.push("close");
  }
}

let driver: Recorder;
let events: BackendEvent[];
const listen = (event: unknown): void => void events.push(event as BackendEvent);

beforeEach(() => {
  driver = new Recorder();
  events = [];
  subscribe("loden:backend", listen);
});

afterEach(() => void unsubscribe("loden:backend", listen));

test.for(backendConformance)("kernel backend over a recorder: $title", async ({ run }) => {
  const open = async () => createKernelBackend(new Recorder(), underlay);
  await expect(run({ open, underlay, moved })).resolves.toBeUndefined();
});

describe("createKernelBackend()", () => {
  test("programs the whole of what is wanted at each change, in the order of the calls", async () => {
    const backend = createKernelBackend(driver, underlay);
    await backend.apply([leaseOf(2)]);
    expect(driver.calls).toEqual([]);
    await Promise.all([
      backend.join(membership),
      backend.apply([leaseOf(2), leaseOf(3)]),
      backend.setUnderlay(moved),
    ]);
    await backend.close();
    await backend.apply([]);
    expect(driver.calls).toEqual([
      "program 1500 10.5.2.0/24",
      "program 1500 10.5.2.0/24 10.5.3.0/24",
      "program 1400 10.5.2.0/24 10.5.3.0/24",
      "watched",
      "clear",
      "close",
    ]);
  });

  test("leaves the kernel as it is when it is closed with keep, and when it never joined", async () => {
    await using backend = createKernelBackend(driver, underlay);
    await backend.join(membership);
    await backend.close({ keep: true });
    expect(driver.calls).toEqual(["program 1500", "watched", "close"]);
  });

  test("removes what was made when joining fails, and may join then", async () => {
    await using backend = createKernelBackend(driver, underlay);
    driver.failure = new Error("EPERM");
    await expect(backend.join(membership)).rejects.toThrow("EPERM");
    expect(driver.calls).toEqual(["clear"]);
    await backend.join(membership);
    expect(driver.calls).toEqual(["clear", "program 1500"]);
  });

  test("says once of a peer that it is skipped, and again when it was served in between", async () => {
    await using backend = createKernelBackend(driver, underlay);
    await backend.join(membership);
    const nowhere: Lease = { ...leaseOf(3), attributes: { backendType: "recorder" } };
    for (const peers of [[nowhere], [leaseOf(2), nowhere], [leaseOf(3)], [nowhere]])
      await backend.apply(peers);
    const skipped = {
      type: "peerSkipped",
      backend: "recorder",
      subnet: "10.5.3.0/24",
      reason: "it publishes no IPv4 address to send to",
    };
    expect(events).toEqual([skipped, skipped]);
    expect(backend.stats().peers).toBe(0);
  });

  test("serves a peer at the address that this host had before", async () => {
    await using backend = createKernelBackend(driver, underlay);
    await backend.join(membership);
    await backend.setUnderlay(moved);
    const { attributes } = membership.lease;
    await backend.apply([{ ...leaseOf(2), attributes }]);
    expect(backend.stats().peers).toBe(1);
    await backend.apply([{ ...leaseOf(2), attributes: { ...attributes, publicIP: moved.ipv4 } }]);
    expect(backend.stats().peers).toBe(0);
  });

  test("publishes attributes and MTU when they changed, also when programming fails", async () => {
    await using backend = createKernelBackend(driver, underlay);
    await backend.join(membership);
    const { attributes } = backend;
    driver.failure = new Error("ENETDOWN");
    await expect(backend.setUnderlay(moved)).rejects.toThrow("ENETDOWN");
    expect(events).toEqual([
      { type: "mtuChanged", backend: "recorder", before: 1450, mtu: 1350 },
      { type: "attributesChanged", backend: "recorder", attributes: backend.attributes },
    ]);
    expect(backend.attributes).not.toBe(attributes);
  });

  test("publishes and programs again when the kernel changed, and goes on when that fails", async () => {
    await using backend = createKernelBackend(driver, underlay);
    await backend.join(membership);
    driver.failure = new Error("ENODEV");
    driver.change.resolve(true);
    await expect.poll(() => events).toMatchObject([{ type: "programFailed", error: { message: "ENODEV" } }]);
    driver.data = "b";
    driver.change.resolve(true);
    await expect.poll(() => events).toHaveLength(2);
    expect(events[1]).toMatchObject({ type: "attributesChanged", attributes: { backendData: "b" } });
    expect(driver.calls).toEqual(["program 1500", "program 1500"]);
  });

  test("changes nothing when the driver refuses an underlay", async () => {
    await using backend = createKernelBackend(driver, underlay);
    await backend.join(membership);
    await expect(backend.setUnderlay({ link: "eth0", mtu: 9000 })).rejects.toThrow(TypeError);
    await backend.apply([]);
    expect(driver.calls).toEqual(["program 1500", "program 1500"]);
    expect(() => createKernelBackend(driver, { link: "eth0", mtu: 9000 })).toThrow(TypeError);
  });
});

function leaseOf(number: number): Lease {
  return {
    subnet: { ipv4: parsePrefix(`10.5.${number}.0/24`) },
    attributes: { publicIP: parseAddress(`192.0.2.${number}`), backendType: "recorder" },
    expiresAt: undefined,
    revision: "1",
  };
}
