import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  addressOf,
  bindSocket,
  bpf,
  closeFd,
  connectSocket,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  errno,
  getSocketName,
  getSocketOption,
  ioctl,
  KernelError,
  openEventFd,
  openFile,
  openSocket,
  readFd,
  receiveFrom,
  sendTo,
  setSocketOption,
  sys,
  watchReadable,
  yieldProcessor,
  writeFd,
} from "./index.ts";

const { AF_INET, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, SOCK_DGRAM, SOCK_NONBLOCK, SOL_SOCKET, SO_RCVBUF } =
  constants;
const loopback = Uint8Array.of(127, 0, 0, 1);
const text = (data: string): Uint8Array => new TextEncoder().encode(data);

const codeOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return `${error.code} ${error.syscall}`;
    throw error;
  }
  return "nothing was thrown";
};

/** Two UDP sockets on loopback, the second with its address. */
const socketPair = () => {
  const [a, b] = [
    openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK),
    openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK),
  ];
  bindSocket(a, encodeSocketAddress(loopback, 0));
  bindSocket(b, encodeSocketAddress(loopback, 0));
  const close = (): void => [a, b].forEach(closeFd);
  return { a, b, to: getSocketName(b), [Symbol.dispose]: close };
};

/** Runs a program in a process of its own and gives what it prints. */
const run = (program: string): string => {
  const args = ["--conditions=@loden/source", "--input-type=module", "--eval", program];
  return spawnSync(process.execPath, args, { encoding: "utf8" }).stdout.trim();
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "loden-linux-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("files", () => {
  test("openFile(), writeFd() and readFd() write and read a file", () => {
    const path = join(folder, "file");
    const out = openFile(path, O_RDWR | O_CREAT | O_EXCL);
    expect(writeFd(out, text("twelve bytes"))).toBe(12);
    closeFd(out);
    expect(readFileSync(path, "utf8")).toBe("twelve bytes");
    const fd = openFile(path, O_RDONLY);
    const buffer = new Uint8Array(8);
    expect(readFd(fd, buffer)).toBe(8);
    expect(buffer).toEqual(text("twelve b"));
    expect(readFd(fd, buffer)).toBe(4);
    expect(readFd(fd, buffer)).toBe(0);
    closeFd(fd);
    expect(codeOf(() => openFile(path, O_RDWR | O_CREAT | O_EXCL))).toBe("EEXIST open");
  });

  test("openFile() closes on exec, so that children don't inherit", () => {
    const fd = openFile("/dev/null", O_RDONLY);
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/^flags:\s+0?2\d{6}/m);
    closeFd(fd);
  });

  test("openFile(), closeFd(), readFd() and writeFd() throw what the kernel answers", () => {
    expect(codeOf(() => openFile(join(folder, "none"), O_RDONLY))).toBe("ENOENT open");
    expect(codeOf(() => closeFd(1_000_000))).toBe("EBADF close");
    expect(codeOf(() => readFd(1_000_000, new Uint8Array(1)))).toBe("EBADF read");
    expect(codeOf(() => writeFd(1_000_000, new Uint8Array(1)))).toBe("EBADF write");
  });

  test("ioctl() fills a structure in place, and says what was attempted when it fails", () => {
    using pair = socketPair();
    sendTo(pair.a, text("12345"), pair.to);
    const waiting = new Int32Array(1);
    const FIONREAD = 0x541b;
    ioctl(pair.b, FIONREAD, new Uint8Array(waiting.buffer));
    expect(waiting[0]).toBe(5);
    expect(() => ioctl(pair.b, FIONREAD, 0, "count what waits")).toThrow(
      /^Cannot count what waits: .*EFAULT from ioctl/,
    );
    expect(codeOf(() => ioctl(pair.b, 0xdead, 0))).toBe("ENOTTY ioctl");
  });
});

describe("sockets", () => {
  test("sendTo() and receiveFrom() carry a datagram with its sender", () => {
    using pair = socketPair();
    const buffer = new Uint8Array(16);
    expect(receiveFrom(pair.b, buffer)).toBeUndefined();
    expect(sendTo(pair.a, text("hello"), pair.to)).toBe(5);
    const message = receiveFrom(pair.b, buffer);
    expect(message?.length).toBe(5);
    expect(buffer.subarray(0, 5)).toEqual(text("hello"));
    expect(message?.address).toEqual(getSocketName(pair.a));
    expect(decodeSocketAddress(getSocketName(pair.a))?.address).toEqual(loopback);
  });

  test("receiveFrom() gives the true length when the buffer is too small and MSG_TRUNC is set", () => {
    using pair = socketPair();
    sendTo(pair.a, text("hello"), pair.to);
    expect(receiveFrom(pair.b, new Uint8Array(2), constants.MSG_PEEK)?.length).toBe(2);
    expect(receiveFrom(pair.b, new Uint8Array(2), constants.MSG_TRUNC)?.length).toBe(5);
  });

  test("connectSocket() gives sendTo() a destination", () => {
    using pair = socketPair();
    expect(codeOf(() => sendTo(pair.a, text("x")))).toBe("EDESTADDRREQ sendto");
    connectSocket(pair.a, pair.to);
    expect(sendTo(pair.a, text("x"))).toBe(1);
    expect(receiveFrom(pair.b, new Uint8Array(1))?.length).toBe(1);
  });

  test("bindSocket() says which address it was about", () => {
    using pair = socketPair();
    const fd = openSocket(AF_INET, SOCK_DGRAM);
    expect(() => bindSocket(fd, pair.to, "a taken port")).toThrow(
      /^Cannot bind a socket to a taken port: .*EADDRINUSE/,
    );
    closeFd(fd);
  });

  test("setSocketOption() takes a number or bytes, and getSocketOption() reads it", () => {
    using pair = socketPair();
    setSocketOption(pair.a, SOL_SOCKET, SO_RCVBUF, 20_000);
    expect(getSocketOption(pair.a, SOL_SOCKET, SO_RCVBUF)).toBe(40_000);
    setSocketOption(pair.a, SOL_SOCKET, SO_RCVBUF, new Uint8Array(new Int32Array([30_000]).buffer));
    expect(getSocketOption(pair.a, SOL_SOCKET, SO_RCVBUF)).toBe(60_000);
    expect(codeOf(() => setSocketOption(pair.a, SOL_SOCKET, 9999, 1))).toBe("ENOPROTOOPT setsockopt");
    expect(codeOf(() => getSocketOption(pair.a, SOL_SOCKET, 9999))).toBe("ENOPROTOOPT getsockopt");
  });

  test("openSocket() throws what the kernel answers", () => {
    expect(codeOf(() => openSocket(9999, SOCK_DGRAM))).toBe("EAFNOSUPPORT socket");
  });
});

describe("sys", () => {
  const memory = new (
    globalThis as unknown as { WebAssembly: { Memory: new (o: object) => { buffer: SharedArrayBuffer } } }
  ).WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const base = addressOf(memory);
  const view = new DataView(memory.buffer);
  const iovec = (at: number, offset: number, length: number): void => {
    view.setBigUint64(at, BigInt(base + offset), true);
    view.setBigUint64(at + 8, BigInt(length), true);
  };

  test("addressOf() is the same for the memory and for views of its start", () => {
    expect(addressOf(new Uint8Array(memory.buffer))).toBe(base);
    expect(addressOf(new Uint8Array(memory.buffer, 4096))).toBe(base + 4096);
    expect(Number.isSafeInteger(base)).toBe(true);
  });

  test("sys.readv() and sys.writev() move bytes of the memory, gathered and scattered", () => {
    using pair = socketPair();
    connectSocket(pair.a, pair.to);
    new Uint8Array(memory.buffer).set(text("one two"), 1000);
    iovec(0, 1004, 3);
    iovec(16, 1000, 3);
    expect(sys.writev(pair.a, base, 2)).toBe(6);
    iovec(0, 2000, 4);
    iovec(16, 3000, 100);
    expect(sys.readv(pair.b, base, 2)).toBe(6);
    expect(new Uint8Array(memory.buffer).slice(2000, 2004)).toEqual(text("twoo"));
    expect(new Uint8Array(memory.buffer).slice(3000, 3002)).toEqual(text("ne"));
  });

  test("sys answers -errno and never throws", () => {
    using pair = socketPair();
    iovec(0, 2000, 100);
    expect(sys.readv(pair.b, base, 1)).toBe(-errno.EAGAIN);
    expect(sys.writev(pair.b, base, 1)).toBe(-errno.EDESTADDRREQ);
    expect(sys.readv(1_000_000, base, 1)).toBe(-errno.EBADF);
    expect(sys.recvmmsg(1_000_000, base, 1, 0)).toBe(-errno.EBADF);
    expect(sys.sendmmsg(1_000_000, base, 1, 0)).toBe(-errno.EBADF);
    expect(sys.poll(8, 1, 0)).toBe(-errno.EFAULT);
  });

  test("sys.poll() reports what is ready, and 0 when nothing is", () => {
    using event = openEventFd();
    view.setInt32(512, event.fd, true);
    view.setInt32(516, constants.POLLIN, true);
    expect(sys.poll(base + 512, 1, 0)).toBe(0);
    event.signal();
    expect(sys.poll(base + 512, 1, 0)).toBe(1);
    expect(view.getInt16(518, true)).toBe(constants.POLLIN);
    event.drain();
    event.drain();
    expect(sys.poll(base + 512, 1, 0)).toBe(0);
  });
});

test("yieldProcessor() comes back when nobody waits for the processor", () => {
  for (let i = 0; i < 100; i++) expect(yieldProcessor()).toBeUndefined();
});

describe("watchReadable()", () => {
  test("watchReadable() calls back each time the descriptor is readable, and never after close()", async () => {
    const event = openEventFd();
    const statuses: number[] = [];
    let wake: (() => void) | undefined;
    const watch = watchReadable(event.fd, (status) => {
      statuses.push(status);
      event.drain();
      wake?.();
    });
    for (let i = 0; i < 3; i += 1) {
      const woken = new Promise<void>((resolve) => (wake = resolve));
      event.signal();
      await woken;
    }
    expect(statuses).toEqual([0, 0, 0]);
    event.signal();
    watch.close();
    watch.close();
    using other = openEventFd();
    const turn = new Promise<void>((resolve) => {
      const second = watchReadable(other.fd, () => {
        second.close();
        resolve();
      });
    });
    other.signal();
    await turn;
    expect(statuses).toHaveLength(3);
    event.close();
    event.close();
  });

  test("watchReadable() keeps the process alive until it is closed, and a forgotten handle still delivers", () => {
    const program = `
      import { openEventFd, watchReadable } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
      const event = openEventFd();
      const watch = watchReadable(event.fd, () => { console.log("woken"); watch.close(); event.close(); });
      for (let i = 0; i < 5; i += 1) globalThis.gc();
      setTimeout(() => { globalThis.gc(); event.signal(); }, 10).unref();
      process.on("exit", () => console.log("exit"));`;
    const child = spawnSync(
      process.execPath,
      ["--expose-gc", "--conditions=@loden/source", "--input-type=module", "--eval", program],
      { encoding: "utf8" },
    );
    expect(child.stderr).toBe("");
    expect(child.stdout).toBe("woken\nexit\n");
  });
});

describe("bpf()", () => {
  test("bpf() says what was attempted when the kernel refuses", () => {
    // No such command; without privilege the kernel doesn't look at it.
    expect(() => bpf(0xffff, new Uint8Array(8), "do what nobody can")).toThrow(
      /^Cannot do what nobody can: .*\((?:EINVAL|EPERM) from bpf\)$/,
    );
  });

  test("bpf() throws a NotSupportedError when the architecture is another", () => {
    const program = `const { bpf } = await import(${JSON.stringify(import.meta.resolve("./index.ts"))});
      Object.defineProperty(process, "arch", { value: "s390x" });
      try { bpf(0, new Uint8Array(8), "try") } catch (error) { console.log(error.code, error.feature) }`;
    expect(run(program)).toBe("ERR_NOT_SUPPORTED bpf(2) on s390x");
  });
});

describe("loading", () => {
  const index = JSON.stringify(import.meta.resolve("./index.ts"));

  test("importing the package loads no native code", () => {
    const program = `await import(${index});
      console.log(process.report.getReport().sharedObjects.some((file) => file.includes("koffi")));`;
    expect(run(program)).toBe("false");
  });

  test("a call is a NotSupportedError when the system is not Linux", () => {
    const program = `const { openEventFd } = await import(${index});
      Object.defineProperty(process, "platform", { value: "darwin" });
      try { openEventFd() } catch (error) { console.log(error.code, error.feature) }`;
    expect(run(program)).toBe("ERR_NOT_SUPPORTED Linux system calls");
  });
});
