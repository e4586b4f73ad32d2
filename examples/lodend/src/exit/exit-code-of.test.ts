import { KernelError, NotSupportedError } from "@loden/linux";
import { StoreDeniedError } from "@loden/lease-etcd";
import { ConfigError, type FamilyNetwork, SubnetExhaustedError, parseNetworkConfig } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { ExitCode, exitCodeMeanings } from "./exit-codes.ts";
import { exitCodeOf } from "./exit-code-of.ts";
import { LodendError } from "./lodend-error.ts";

function kernelError(errno: number, syscall = "bind", attempt = "do it"): KernelError {
  return new KernelError({ attempt, syscall, errno });
}

function thrownBy(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe("exitCodeOf()", () => {
  const denied = new StoreDeniedError("list leases", { details: "permission denied" } as never);
  const family = parseNetworkConfig('{"Network":"10.1.0.0/16"}').ipv4 as FamilyNetwork;
  test.each([
    ["a foreseen one", new LodendError(ExitCode.subnetChanged, "so it is"), 8, "so it is"],
    [
      "a wrong config",
      new ConfigError("Network", "is absent, expected one"),
      3,
      "correct the network's configuration",
    ],
    [
      "a config that is no JSON",
      thrownBy(() => parseNetworkConfig("{")),
      3,
      "correct the network's configuration",
    ],
    ["a refused user", denied, 4, "check --etcd-username, --etcd-password and the certificates"],
    ["a privilege", kernelError(1, "netlink"), 5, "run lodend as root, or with CAP_NET_ADMIN"],
    ["no TUN", kernelError(2, "open", "open /dev/net/tun"), 5, "load the tun module"],
    ["no feature", new NotSupportedError("nf_tables", "3.13"), 5, "use a kernel"],
    ["a taken port", kernelError(98), 6, "stop the other program, or give the network another Backend.Port"],
    ["an address that is gone", kernelError(99), 6, "choose another address or port"],
    ["a full network", new SubnetExhaustedError(family), 7, "give the network more subnets"],
    ["anything else", new Error("two\n  lines"), 1, "two lines"],
    ["no error at all", "text", 1, "text"],
  ] as const)("knows %s", (_, error, code, advice) => {
    const { exitCode, line } = exitCodeOf(error);
    expect([exitCode, line]).toEqual([code, expect.stringContaining(advice)]);
    expect(line).not.toContain("\n");
  });

  test("every code has a meaning", () => {
    expect(exitCodeMeanings.map(([code]) => code)).toEqual(Object.values(ExitCode));
  });
});
