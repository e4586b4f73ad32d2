import { describe, expect, test } from "vitest";
import { LodendError } from "../exit/lodend-error.ts";
import type { Flag } from "./flag.ts";
import { flannelFlags } from "./flannel-flags.ts";
import { allFlags, parseFlags, variableOf } from "./parse-flags.ts";

/** What flanneld 0.28 has, with its defaults. */
const flannel: Readonly<Record<string, Flag["fallback"]>> = {
  "etcd-endpoints": "http://127.0.0.1:4001,http://127.0.0.1:2379",
  "etcd-prefix": "/coreos.com/network",
  "etcd-keyfile": "",
  "etcd-certfile": "",
  "etcd-cafile": "",
  "etcd-username": "",
  "etcd-password": "",
  iface: [],
  "iface-regex": [],
  "iface-can-reach": "",
  "subnet-file": "/run/flannel/subnet.env",
  "public-ip": "",
  "public-ipv6": "",
  "subnet-lease-renew-margin": 60,
  "ip-masq": false,
  "ip-masq-fully-random-disable": false,
  "kube-subnet-mgr": false,
  "kube-api-url": "",
  "kubeconfig-file": "",
  "kube-annotation-prefix": "flannel.alpha.coreos.com",
  version: false,
  "healthz-ip": "0.0.0.0",
  "healthz-port": 0,
  "iptables-resync": 5,
  "iptables-forward-rules": true,
  "ip-blackhole-route": false,
  "net-config-path": "/etc/kube-flannel/net-conf.json",
  "set-node-network-unavailable": true,
  v: 0,
  vmodule: "",
  log_backtrace_at: "",
};

/** A value for each kind that differs from the default. */
function sample(flag: Flag): { readonly text: string; readonly value: unknown } {
  switch (flag.kind) {
    case "boolean":
      return { text: String(flag.fallback !== true), value: flag.fallback !== true };
    case "integer":
      return { text: "7", value: 7 };
    case "duration":
      return { text: "90s", value: 90_000 };
    case "texts":
      return { text: "some", value: ["some"] };
    case "text":
      return { text: flag.choices?.at(-1) ?? "some", value: flag.choices?.at(-1) ?? "some" };
  }
}

test("flannel's flags are all there, with flannel's defaults", () => {
  expect(Object.fromEntries(flannelFlags.map(({ name, fallback }) => [name, fallback]))).toEqual(flannel);
});

const refused = allFlags.filter(({ stance }) => stance === "refused");
const taken = allFlags.filter(({ stance }) => stance !== "refused");

describe.each(refused)("--$name", (flag) => {
  const { name } = flag;
  const { text } = sample(flag);

  test("is refused when it is set, on the command line and in the environment", () => {
    for (const words of [[`--${name}=${text}`], [`-${name}`]]) {
      expect(() => parseFlags(words, {})).toThrow(`--${name} is not possible: `);
    }
    expect(() => parseFlags([], { [variableOf(flag)]: text })).toThrow(
      `${variableOf(flag)} is not possible: `,
    );
    expect(parseFlags([`--${name}=${String(flag.fallback)}`], {}).values.get(name)).toBe(flag.fallback);
  });
});

describe.each(taken)("--$name", (flag) => {
  const { name, kind } = flag;
  const { text, value } = sample(flag);

  test("is taken with one dash or two, and its value after = or a space", () => {
    const forms = [[`--${name}=${text}`], [`-${name}=${text}`]];
    if (kind !== "boolean") forms.push([`--${name}`, text], [`-${name}`, text]);
    for (const words of forms) {
      const { values, given } = parseFlags(words, {});
      expect(values.get(name)).toEqual(value);
      expect(given.get(name)).toBe(`--${name}`);
    }
  });

  test("is taken from the environment only when it is not given and not empty", () => {
    const variable = variableOf(flag);
    expect(parseFlags([], { [variable]: text }).values.get(name)).toEqual(value);
    expect(parseFlags([], { [variable]: "" }).given.has(name)).toBe(false);
    const other = kind === "boolean" ? String(flag.fallback) : kind === "duration" ? "1s" : text;
    const { given } = parseFlags([`--${name}=${other}`], { [variable]: text });
    expect(given.get(name)).toBe(`--${name}`);
  });

  test("has its default where it is not given", () => {
    const { values, given } = parseFlags([], {});
    if (kind !== "duration") expect(values.get(name)).toEqual(flag.fallback);
    expect(given.has(name)).toBe(false);
  });
});

describe("parseFlags()", () => {
  test("names the variables as flannel does", () => {
    expect(variableOf({ name: "etcd-endpoints", origin: "flannel" })).toBe("FLANNELD_ETCD_ENDPOINTS");
    expect(variableOf({ name: "release-on-exit", origin: "Loden" })).toBe("LODEND_RELEASE_ON_EXIT");
  });

  test("collects flags that may be repeated, and takes the last of the others", () => {
    const { values } = parseFlags(["--iface=a", "-iface", "b", "--v=1", "--v=2"], { FLANNELD_IFACE: "c" });
    expect([values.get("iface"), values.get("v")]).toEqual([["a", "b"], 2]);
  });

  test("takes booleans alone, without eating the next word", () => {
    const { values, command } = parseFlags(["--ip-masq", "status"], {});
    expect([values.get("ip-masq"), command]).toEqual([true, "status"]);
  });

  test("gives run where no command is named", () => {
    expect(parseFlags([], {}).command).toBe("run");
  });

  test.each([
    [["--ifaces=x"], "there is no flag --ifaces; see lodend --help"],
    [["--ifaces=secret"], "there is no flag --ifaces; see"],
    [["--etcd-prefix"], "--etcd-prefix has no value, expected one after it"],
    [["--ip-masq=yes"], '--ip-masq is "yes", expected true or false'],
    [["--healthz-port=66000"], '--healthz-port is "66000", expected a whole number from 0 to 65535'],
    [
      ["--subnet-lease-renew-margin=1440"],
      '--subnet-lease-renew-margin is "1440", expected a whole number from 1',
    ],
    [["--subnet-lease-renew-margin=0"], "expected a whole number from 1 to 1439"],
    [["--store=zookeeper"], '--store is "zookeeper", expected etcd or memory'],
    [["--subnet-lease-ttl=5"], '--subnet-lease-ttl is "5", expected a duration such as 90s, 5m or 24h'],
    [["run", "status"], '"status" after "run", expected one command'],
  ] as const)("refuses %j", (words, message) => {
    const error = capture(() => parseFlags(words, {}));
    expect(error).toBeInstanceOf(LodendError);
    expect([(error as LodendError).exitCode, (error as Error).message]).toEqual([
      2,
      expect.stringContaining(message),
    ]);
  });

  test("names the variable whose value is wrong", () => {
    expect(() => parseFlags([], { FLANNELD_IP_MASQ: "maybe" })).toThrow('FLANNELD_IP_MASQ is "maybe"');
  });
});

function capture(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
