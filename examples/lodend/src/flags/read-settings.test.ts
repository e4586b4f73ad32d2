import { describe, expect, test } from "vitest";
import { parseFlags } from "./parse-flags.ts";
import { readSettings, type Settings } from "./read-settings.ts";

function settingsOf(...words: readonly string[]): Settings {
  return readSettings(parseFlags(words, {}));
}

describe("readSettings()", () => {
  test("gives flannel's defaults", () => {
    expect(settingsOf()).toMatchObject({
      store: "etcd",
      storeWaitMs: 30_000,
      subnetFile: "/run/flannel/subnet.env",
      lease: { ttlMs: 86_400_000, marginMs: 3_600_000 },
      releaseOnExit: false,
      fence: false,
      kernelPath: "auto",
      deviceName: "loden%d",
      controlSocket: "/run/loden/loden.sock",
      http: { ip: "0.0.0.0", port: 0 },
      firewall: {
        masquerade: false,
        fullyRandom: true,
        forward: true,
        dropForged: true,
        resyncMs: 5_000,
        except: [],
      },
      etcd: {
        endpoints: ["http://127.0.0.1:4001", "http://127.0.0.1:2379"],
        prefix: "/coreos.com/network",
        username: undefined,
      },
    });
  });

  test("carries every accepted flag to its place", () => {
    const words = [
      "--etcd-endpoints=https://a:1, https://b:2",
      "--etcd-prefix=/p",
      "--etcd-keyfile=k",
      "--etcd-certfile=c",
      "--etcd-cafile=ca",
      "--etcd-username=u",
      "--etcd-password=p",
      "--iface=eth1",
      "--iface-regex=^10\\.",
      "--iface-can-reach=192.0.2.9",
      "--subnet-file=/s",
      "--public-ip=192.0.2.1",
      "--public-ipv6=fd00::1",
      "--subnet-lease-renew-margin=30",
      "--ip-masq",
      "--ip-masq-fully-random-disable",
      "--healthz-ip=::1",
      "--healthz-port=81",
      "--iptables-resync=9",
      "--iptables-forward-rules=false",
      "--net-config-path=/n",
      "--v=2",
      "--store=memory",
      "--store-wait=0s",
      "--config-poll=1s",
      "--subnet-lease-ttl=2h",
      "--release-on-exit",
      "--on-subnet-change=exit",
      "--fence",
      "--peer-source=any",
      "--kernel-path=off",
      "--device-name=flannel0",
      "--name=blue",
      "--masq-except=10.0.0.0/8",
      "--drop-forged=false",
      "--log-format=json",
    ];
    const settings = settingsOf(...words);
    expect(JSON.parse(JSON.stringify(settings))).toMatchObject({
      etcd: {
        endpoints: ["https://a:1", "https://b:2"],
        prefix: "/p",
        keyFile: "k",
        certFile: "c",
        caFile: "ca",
        username: "u",
        password: "p",
      },
      store: "memory",
      netConfigPath: "/n",
      configPollMs: 1_000,
      interface: {
        names: ["eth1"],
        canReach: "192.0.2.9",
        publicIP: "192.0.2.1",
        publicIPv6: "fd00::1",
      },
      subnetFile: "/s",
      lease: { ttlMs: 7_200_000, marginMs: 1_800_000 },
      releaseOnExit: true,
      onSubnetChange: "exit",
      fence: true,
      peerSource: "any",
      kernelPath: "off",
      deviceName: "flannel0",
      name: "blue",
      controlSocket: "/run/loden/blue.sock",
      firewall: {
        masquerade: true,
        fullyRandom: false,
        except: ["10.0.0.0/8"],
        forward: false,
        dropForged: false,
        resyncMs: 9_000,
      },
      http: { ip: "::1", port: 81 },
      log: { format: "json", isVerbose: true },
    });
    expect(settings.storeWaitMs).toBe(Infinity);
    expect(settings.interface.patterns[0]?.test("10.1.2.3")).toBe(true);
  });

  test("shrinks the default margin where the time to live is short", () => {
    expect(settingsOf("--subnet-lease-ttl=30s").lease).toEqual({ ttlMs: 30_000, marginMs: 10_000 });
  });

  test.each([
    ["--subnet-lease-ttl=10m --subnet-lease-renew-margin=10", "expected less than --subnet-lease-ttl"],
    ["--subnet-lease-ttl=10ms", "expected at least one second"],
    ["--etcd-keyfile=k", "--etcd-keyfile and --etcd-certfile come apart"],
    ["--etcd-username=u", "--etcd-username and --etcd-password come apart"],
    ["--public-ip=fd00::1", '--public-ip is "fd00::1", expected an IPv4 address'],
    ["--public-ipv6=192.0.2.1", '--public-ipv6 is "192.0.2.1", expected an IPv6 address'],
    ["--iface-can-reach=host", '--iface-can-reach is "host", expected an address'],
    ["--iface-regex=(", '--iface-regex is "(", expected a regular expression'],
    ["--masq-except=10", '--masq-except is "10", expected a network such as 10.0.0.0/8'],
    ["--healthz-ip=x", '--healthz-ip is "x", expected an address'],
    ["--name=a/b", '--name is "a/b", expected letters'],
  ])("refuses %s", (words, message) => {
    expect(() => settingsOf(...words.split(" "))).toThrow(message);
  });
});
