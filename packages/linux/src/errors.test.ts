import { describe, expect, test } from "vitest";
import { describeErrno, errno } from "./errno.ts";
import { KernelError } from "./kernel-error.ts";
import { NotSupportedError } from "./not-supported-error.ts";

describe("describeErrno()", () => {
  test.each([
    [17, "EEXIST", "file already exists"],
    [11, "EAGAIN", "resource temporarily unavailable"],
    [42, "ENOMSG", "unknown error"],
    [77, "EBADFD", "file descriptor in bad state"],
    [9999, "E9999", "unknown error"],
  ])("describeErrno() names %i as %s", (number, code, text) => {
    expect(describeErrno(number)).toEqual({ code, text });
  });

  test("describeErrno() names every number of errno, by the same or an equal name", () => {
    for (const number of Object.values(errno)) {
      const { code, text } = describeErrno(number);
      expect(errno[code as keyof typeof errno]).toBe(number);
      expect(text).not.toBe("");
    }
  });
});

describe("KernelError", () => {
  test("KernelError says what was attempted, what the kernel answered and its own text", () => {
    const error = new KernelError({
      attempt: "add route 10.1.0.0/16",
      syscall: "netlink",
      errno: 17,
      detail: "Route exists",
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "KernelError",
      code: "EEXIST",
      errno: 17,
      syscall: "netlink",
      detail: "Route exists",
    });
    expect(error.message).toBe(
      "Cannot add route 10.1.0.0/16: file already exists (EEXIST from netlink): Route exists",
    );
  });

  test("KernelError has no detail when the kernel gave none", () => {
    const error = new KernelError({ attempt: "open /x", syscall: "open", errno: errno.ENOENT });
    expect(error.detail).toBeUndefined();
    expect(error.message).toBe("Cannot open /x: no such file or directory (ENOENT from open)");
  });
});

describe("NotSupportedError", () => {
  test("NotSupportedError names the feature and the least kernel", () => {
    const cause = new Error("why");
    const error = new NotSupportedError("UDP_GRO", "5.0", { cause });
    expect(error).toMatchObject({ code: "ERR_NOT_SUPPORTED", feature: "UDP_GRO", leastKernel: "5.0", cause });
    expect(error.message).toMatch(/^Cannot use UDP_GRO: .* here, expected Linux 5\.0 or newer$/);
  });

  test("NotSupportedError asks for Linux when no least kernel is known", () => {
    expect(new NotSupportedError("Linux system calls").message).toMatch(
      / here, expected a Linux that has it$/,
    );
  });
});
