import { createRequire } from "node:module";
import type koffiModule from "koffi";
import { KernelError } from "./kernel-error.ts";
import { NotSupportedError } from "./not-supported-error.ts";

type Koffi = typeof koffiModule;

/** The C library's functions that Loden calls. Pointers are absolute addresses or buffers, as each name says. */
export interface Libc {
  readonly koffi: Koffi;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, buffer: Uint8Array, length: number): number;
  readv(fd: number, iovecs: number, count: number): number;
  writev(fd: number, iovecs: number, count: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  ioctlValue(fd: number, request: number, value: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array): number;
  sendto(
    fd: number,
    data: Uint8Array,
    length: number,
    flags: number,
    to: Uint8Array | null,
    toLength: number,
  ): number;
  recvfrom(
    fd: number,
    data: Uint8Array,
    length: number,
    flags: number,
    from: Uint8Array | null,
    fromLength: Uint8Array | null,
  ): number;
  setns(fd: number, kind: number): number;
  unshare(flags: number): number;
  mount(
    source: string | null,
    target: string,
    type: string | null,
    flags: number,
    data: string | null,
  ): number;
  umount2(target: string, flags: number): number;
  eventfd(initial: number, flags: number): number;
  schedYield(): number;
  syscall(number: number, a: number, b: Uint8Array, c: number): number;
}

let loaded: Libc | undefined;

/**
 * Loads koffi and the C library on first use, so that importing this package works on every system.
 *
 * @throws {NotSupportedError} where koffi or the C library can't be loaded.
 */
export function libc(): Libc {
  return (loaded ??= load());
}

function load(): Libc {
  if (process.platform !== "linux") throw new NotSupportedError("Linux system calls");
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)("koffi") as Koffi;
  } catch (cause) {
    throw new NotSupportedError("native calls through koffi", undefined, { cause });
  }
  const c = koffi.load(null);
  const ssize = "int64_t";
  const address = "int64_t";
  return {
    koffi,
    open: c.func("open", "int", ["str", "int", "int"]),
    close: c.func("close", "int", ["int"]),
    read: c.func("read", ssize, ["int", "void *", "size_t"]),
    write: c.func("write", ssize, ["int", "void *", "size_t"]),
    readv: c.func("readv", ssize, ["int", address, "int"]),
    writev: c.func("writev", ssize, ["int", address, "int"]),
    sendmmsg: c.func("sendmmsg", "int", ["int", address, "uint", "int"]),
    recvmmsg: c.func("recvmmsg", "int", ["int", address, "uint", "int", address]),
    poll: c.func("poll", "int", [address, "ulong", "int"]),
    ioctl: c.func("ioctl", "int", ["int", "ulong", "void *"]),
    ioctlValue: c.func("ioctl", "int", ["int", "ulong", "int64_t"]),
    socket: c.func("socket", "int", ["int", "int", "int"]),
    bind: c.func("bind", "int", ["int", "void *", "uint"]),
    connect: c.func("connect", "int", ["int", "void *", "uint"]),
    getsockname: c.func("getsockname", "int", ["int", "void *", "void *"]),
    setsockopt: c.func("setsockopt", "int", ["int", "int", "int", "void *", "uint"]),
    getsockopt: c.func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]),
    sendto: c.func("sendto", ssize, ["int", "void *", "size_t", "int", "void *", "uint"]),
    recvfrom: c.func("recvfrom", ssize, ["int", "void *", "size_t", "int", "void *", "void *"]),
    setns: c.func("setns", "int", ["int", "int"]),
    unshare: c.func("unshare", "int", ["int"]),
    mount: c.func("mount", "int", ["str", "str", "str", "ulong", "str"]),
    umount2: c.func("umount2", "int", ["str", "int"]),
    eventfd: c.func("eventfd", "int", ["uint", "int"]),
    schedYield: c.func("sched_yield", "int", []),
    syscall: c.func("syscall", "long", ["long", "int", "void *", "uint"]),
  };
}

/**
 * Throws what the last call left in `errno` when the call failed.
 *
 * @param result what the call returned; negative means failure.
 * @param syscall the call's name.
 * @param attempt what was attempted, in words.
 * @returns `result`, when it is not negative.
 */
export function checked(result: number, syscall: string, attempt: string): number {
  if (result < 0) throw new KernelError({ attempt, syscall, errno: libc().koffi.errno() });
  return result;
}
