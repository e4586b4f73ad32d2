import { describe, expect, test } from "vitest";
import { checkKernelPath } from "./check-kernel-path.ts";
import type { RelayAccount } from "./relay-agent.ts";

const account = (kernelPath: RelayAccount["kernelPath"], sent = 0, pumped = 0): RelayAccount => ({
  kernelPath,
  sent,
  pumped,
});
const veth = { on: true, decapsulates: "all", encapsulatesFor: "able" } as const;
const wire = { on: true, decapsulates: "acks", encapsulatesFor: "all" } as const;

describe("checkKernelPath()", () => {
  test("checkKernelPath() says how much the kernel passed on when both hosts are in the topology's state", () => {
    expect(checkKernelPath("veth", { left: account(veth, 1000, 5), right: account(veth) })).toBe(
      "Kernel path of loden over veth: left takes off all, encapsulates for able, 99.5 % of what it sent; right takes off all, encapsulates for able",
    );
    expect(checkKernelPath("wire", { left: account(wire), right: account(wire, 1000, 1200) })).toMatch(
      /right takes off acks, encapsulates for all, 0\.0 %/,
    );
  });

  test("checkKernelPath() says why when the kernel can't", () => {
    const off = account({ on: false, reason: "the kernel is too old" });
    expect(checkKernelPath("wire", { left: off, right: account(wire) })).toMatch(
      /left off, since the kernel is too old; right takes/,
    );
  });

  test("checkKernelPath() throws when a state is another one", () => {
    expect(() => checkKernelPath("wire", { left: account(wire), right: account(veth) })).toThrow(
      /right host is .*"all".*expected .*"acks"/,
    );
    const other = account({ on: true, decapsulates: "all", encapsulatesFor: "all" });
    expect(() => checkKernelPath("veth", { left: other, right: account(veth) })).toThrow(/left host/);
  });
});
