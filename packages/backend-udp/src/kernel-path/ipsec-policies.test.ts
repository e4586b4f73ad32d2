import { errno, KernelError } from "@loden/linux";
import { openNetlinkFd } from "@loden/netlink-socket";
import { beforeEach, expect, test, vi } from "vitest";
import { watchIpsecPolicies } from "./ipsec-policies.ts";

// No kernel of ours lacks IPsec, so this is what socket(2) then says.
vi.mock("@loden/netlink-socket", { spy: true });
const refuse = (number: number): void => {
  vi.mocked(openNetlinkFd).mockImplementation(() => {
    throw new KernelError({ attempt: "open a socket", syscall: "socket", errno: number });
  });
};

beforeEach(() => vi.resetAllMocks());

test("watchIpsecPolicies() knows of no policies when the kernel has no IPsec", () => {
  refuse(errno.EPROTONOSUPPORT);
  using policies = watchIpsecPolicies(undefined, () => expect.unreachable());
  expect(policies.any).toBe(false);
});

test("watchIpsecPolicies() throws when it may not listen", () => {
  refuse(errno.EPERM);
  expect(() => watchIpsecPolicies(undefined, () => {})).toThrow(expect.objectContaining({ code: "EPERM" }));
});
