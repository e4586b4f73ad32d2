import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  bindSocket,
  closeFd,
  constants,
  ioctl,
  KernelError,
  mount,
  openFile,
  openSocket,
  readFd,
  setNamespace,
  setSocketOption,
  unmount,
  unshareNamespaces,
  watchReadable,
} from "./index.ts";

const { AF_INET, AF_NETLINK, CLONE_NEWNET, MNT_DETACH, O_RDONLY, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW } =
  constants;
const ownNamespace = "/proc/thread-self/ns/net";

/** Runs a function in a network namespace that nobody else has, and comes back. */
const inFreshNamespace = <T>(fn: () => T): T => {
  const before = openFile(ownNamespace, O_RDONLY);
  try {
    unshareNamespaces(CLONE_NEWNET);
    return fn();
  } finally {
    setNamespace(before, CLONE_NEWNET);
    closeFd(before);
  }
};

test("unshareNamespaces() enters a fresh network namespace, and setNamespace() the one before", () => {
  const before = readlinkSync(ownNamespace);
  const [inside, devices] = inFreshNamespace(() => [
    readlinkSync(ownNamespace),
    readFileSync("/proc/thread-self/net/dev", "utf8"),
  ]);
  expect(inside).not.toBe(before);
  expect(devices.trim().split("\n")).toHaveLength(3);
  expect(readlinkSync(ownNamespace)).toBe(before);
});

test("setNamespace() throws EINVAL when the descriptor is no namespace", () => {
  const fd = openFile("/dev/null", O_RDONLY);
  expect(() => setNamespace(fd, CLONE_NEWNET)).toThrow(/EINVAL from setns/);
  closeFd(fd);
});

test("mount() mounts, binds and says where it failed, and unmount() removes it", () => {
  const folder = mkdtempSync(join(tmpdir(), "loden-mount-"));
  mount(folder, { source: "none", type: "tmpfs", data: "size=64k" });
  writeFileSync(join(folder, "file"), "x");
  mount(join(folder, "file"), { source: "/dev/null", flags: constants.MS_BIND });
  expect(readFileSync(join(folder, "file"), "utf8")).toBe("");
  unmount(join(folder, "file"));
  expect(readFileSync(join(folder, "file"), "utf8")).toBe("x");
  unmount(folder, MNT_DETACH);
  expect(existsSync(join(folder, "file"))).toBe(false);
  expect(() => unmount(folder)).toThrow(KernelError);
  expect(() => mount(folder, { type: "no-such-fs" })).toThrow(
    `Cannot mount on ${folder}: no such device (ENODEV from mount)`,
  );
  rmdirSync(folder);
});

describe("watchReadable()", () => {
  test("watchReadable() reports an overrun with a negative status, and goes on", async () => {
    const { links, control } = inFreshNamespace(() => ({
      links: openSocket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0),
      control: openSocket(AF_INET, SOCK_DGRAM),
    }));
    // struct sockaddr_nl with the group of link changes, and the least receive buffer that there is.
    bindSocket(links, Uint8Array.of(AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0));
    setSocketOption(links, constants.SOL_SOCKET, constants.SO_RCVBUF, 1);
    for (let i = 0; i < 100; i += 1) setLoopback(control, i % 2 === 0);

    const calls: { status: number; error: string | undefined }[] = [];
    let wake: (() => void) | undefined;
    const buffer = new Uint8Array(65_536);
    const watch = watchReadable(links, (status) => {
      let error: string | undefined;
      try {
        while (readFd(links, buffer) !== undefined);
      } catch (caught) {
        error = (caught as KernelError).code;
      }
      calls.push({ status, error });
      wake?.();
    });
    await new Promise<void>((resolve) => (wake = resolve));
    expect(calls).toEqual([{ status: -9, error: "ENOBUFS" }]);

    const next = new Promise<void>((resolve) => (wake = () => calls.at(-1)?.status === 0 && resolve()));
    setLoopback(control, true);
    await next;
    expect(calls.at(-1)).toEqual({ status: 0, error: undefined });
    watch.close();
    closeFd(links);
    closeFd(control);
  });
});

// SIOCSIFFLAGS with struct ifreq { "lo", IFF_UP or nothing }
function setLoopback(control: number, up: boolean): void {
  const ifreq = new Uint8Array(40);
  ifreq.set([0x6c, 0x6f]);
  ifreq[16] = up ? 1 : 0;
  ioctl(control, 0x8914, ifreq);
}
