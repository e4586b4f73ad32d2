import { describe, expect, test } from "vitest";
import type { HostView, LabView } from "./lab-view.ts";
import {
  colourPalette,
  dropsText,
  formatBitRate,
  formatBytes,
  plainPalette,
  renderScreen,
} from "./render-screen.ts";

const able = { on: true, decapsulates: "all", encapsulatesFor: "able" } as const;

const host = (number: number, more: Partial<HostView> = {}): HostView => ({
  name: `host${number}`,
  state: "up",
  publicIP: `192.0.2.${number}`,
  subnet: `10.42.${number}.0/24`,
  device: "loden0",
  mtu: 1472,
  kernelPath: able,
  peers: 1,
  routes: ["10.42.0.0/16 dev loden0"],
  sent: { packets: 12, bytes: 3456 },
  received: { packets: 7, bytes: 1_234_567 },
  drops: {},
  ...more,
});

const view: LabView = {
  network: "10.42.0.0/16",
  settings: { backend: "udp", nat: false },
  hosts: [host(1), host(2, { drops: { noRoute: 3, ttlExpired: 0 } })],
  selected: 1,
  rtt: [
    [
      [undefined, 0.123],
      [null, undefined],
    ],
  ],
  transfers: [{ name: "host1 -> host2", bytes: 64e6, seconds: 0.5, equal: true }],
  events: ["host1: leased 10.42.1.0/24 for its containers"],
};

describe("renderScreen()", () => {
  const lines = renderScreen(view, plainPalette, { columns: 120, rows: 60 });

  test("renderScreen() shows each host with its subnet, address and device", () => {
    const carriers = "kernel + pump";
    expect(lines).toContain(
      `     host1  up     192.0.2.1       10.42.1.0/24  loden0, mtu 1472  1      ${carriers}`,
    );
    expect(lines).toContain(
      `  >  host2  up     192.0.2.2       10.42.2.0/24  loden0, mtu 1472  1      ${carriers}`,
    );
  });

  test("renderScreen() says that the kernel carries plain packets when one host's does", () => {
    const off = { on: false, reason: "eth0 is no Ethernet device" } as const;
    const shown = renderScreen({ ...view, hosts: [host(1, { kernelPath: off }), host(2)] }, plainPalette, {
      columns: 160,
      rows: 60,
    });
    expect(shown[3]).toMatch(
      /^The kernel carries plain ones,.* Loden's pump in userspace the rest: IPv6, fragments, errors\.$/,
    );
    expect(shown).toContain("     host1  up     192.0.2.1       10.42.1.0/24  loden0, mtu 1472  1      pump");
  });

  test("renderScreen() says why the kernel carries nothing when no host's does", () => {
    const off = { on: false, reason: "it is switched off" } as const;
    const shown = renderScreen({ ...view, hosts: [host(1, { kernelPath: off })] }, plainPalette, {
      columns: 120,
      rows: 60,
    });
    expect(shown[3]).toBe(
      "Loden's pump carries them all, in userspace, and the kernel none by itself: it is switched off.",
    );
  });

  test("renderScreen() shows round trips, and none where no answer came", () => {
    expect(lines).toContain("  host1  ·      0.12");
    expect(lines).toContain("  host2  none   ·");
  });

  test("renderScreen() says how packets travel, shows both families, and which source arrives outside", () => {
    const shown = renderScreen(
      {
        ...view,
        settings: { backend: "host-gw", nat: true },
        hosts: [
          host(1, { device: undefined, mtu: 1500, kernelPath: undefined }),
          host(2, { kernelPath: undefined }),
        ],
        rtt: [...view.rtt, [[undefined, 0.2]]],
        outside: [
          { seen: ["192.0.2.1", undefined], expected: ["192.0.2.1", "2001:db8::1"] },
          { seen: ["10.42.2.2", null], expected: ["192.0.2.2", "2001:db8::2"] },
        ],
      },
      plainPalette,
      { columns: 140, rows: 60 },
    );
    expect(shown[2]).toContain("a route to each host's subnet");
    expect(shown[3]).toContain("leaves with their host's address (masquerade)");
    expect(shown).toContain(
      "  >  host1  up     192.0.2.1       10.42.1.0/24  none, mtu 1500    1".replace(">", " "),
    );
    expect(shown).toContain("  host1  ·         0.12 / 0.20");
    expect(shown).toContain("  host1  192.0.2.1 / …");
    expect(shown).toContain("  host2  10.42.2.2 / nothing arrives");
  });

  test("renderScreen() shows transfers with rate and checksum, traffic, and drops by reason", () => {
    expect(lines).toContain("  host1 -> host2  64.0 MB in 0.50 s  1.02 Gbit/s  checksum equal");
    expect(lines).toContain("  host2  12 / 3.5 kB  7 / 1.2 MB  noRoute 3");
  });

  test("renderScreen() keeps within the terminal, keys last", () => {
    const small = renderScreen(view, colourPalette, { columns: 40, rows: 10 });
    expect(small).toHaveLength(10);
    // eslint-disable-next-line no-control-regex
    for (const line of small) expect(line.replace(/\u001B\[\d+m/g, "").length).toBeLessThanOrEqual(40);
    expect(small.at(-1)).toContain("keys:");
  });

  test("renderScreen() says what is missing when a host has no route, or there is no transfer yet", () => {
    const broken = renderScreen({ ...view, hosts: [host(1, { routes: [] })], transfers: [] }, plainPalette, {
      columns: 120,
      rows: 60,
    });
    expect(broken).toContain("  host1  no route to the overlay");
    expect(broken).toContain("  waiting for two hosts");
    const whole = renderScreen({ ...view, transfers: [] }, plainPalette, { columns: 120, rows: 60 });
    expect(whole).toContain("  the first one is under way");
  });

  test("renderScreen() shows what a host that is stopped has given back", () => {
    const hosts = [
      host(1),
      host(2, { state: "stopped", device: undefined, peers: 0, routes: [], kernelPath: undefined }),
    ];
    const shown = renderScreen({ ...view, hosts }, plainPalette, { columns: 120, rows: 60 });
    expect(shown).toContain("  >  host2  stopped  192.0.2.2       given back    none              0      -");
  });
});

test("formatBytes() and formatBitRate() use decimal units", () => {
  expect(formatBytes(999)).toBe("999 B");
  expect(formatBytes(1000)).toBe("1.0 kB");
  expect(formatBytes(2.5e9)).toBe("2.5 GB");
  expect(formatBitRate(125e6, 1)).toBe("1.00 Gbit/s");
  expect(formatBitRate(1e6, 1)).toBe("8 Mbit/s");
});

test("dropsText() leaves reasons out that never occurred", () => {
  expect(dropsText({ noRoute: 2, tooShort: 0 })).toBe("noRoute 2");
  expect(dropsText({})).toBe("none");
});
