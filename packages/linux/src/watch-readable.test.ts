import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { closeFd, constants, openEventFd, openFile, watchReadable } from "./index.ts";

describe("watchReadable() and exceptions", () => {
  test("what a callback throws is an uncaught exception, and no other call meets it", () => {
    const { output } = run(`
      process.on("uncaughtException", ({ message }) => console.log("uncaught:", message));
      let calls = 0;
      const watch = watchReadable(event.fd, () => {
        event.drain();
        if (++calls === 2) watch.close();
        setImmediate(() => console.log("a native call:", yieldProcessor()));
        throw new Error("call " + calls);
      });
      event.signal();
      process.on("uncaughtException", () => event.signal());`);
    expect(output).toEqual([
      "a native call: undefined",
      "uncaught: call 1",
      "a native call: undefined",
      "uncaught: call 2",
    ]);
  });

  test.each(["setTimeout", "watchReadable"])(
    "a worker whose %s callback throws ends, and its process goes on, while a descriptor is readable",
    (thrower) => {
      const { output, errors } = run(`
        const throwing = ${JSON.stringify(`
          import { watchReadable } from ${index};
          import { workerData } from "node:worker_threads";
          const fail = () => { throw new Error("on purpose"); };
          watchReadable(workerData, ${thrower === "watchReadable" ? "fail" : "() => undefined"});
          ${thrower === "setTimeout" ? "setTimeout(fail, 20);" : ""}`)};
        event.signal();
        const url = new URL("data:text/javascript," + encodeURIComponent(throwing));
        const { Worker } = await import("node:worker_threads");
        const worker = new Worker(url, { workerData: event.fd, execArgv: ["--conditions=@loden/source"] });
        worker.on("error", ({ message }) => console.log("error:", message));
        worker.on("exit", (code) => console.log("exit:", code));
        setTimeout(() => undefined, 20);`);
      expect({ output, errors }).toEqual({ output: ["error: on purpose", "exit: 1"], errors: "" });
    },
  );
});

describe("watchReadable() refuses", () => {
  test("a descriptor that is not open, and one that can't be watched", () => {
    const code = (fd: number): unknown => {
      try {
        watchReadable(fd, () => undefined).close();
        return "watched";
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    const file = openFile("/proc/self/exe", constants.O_RDONLY);
    const folder = openFile("/", constants.O_RDONLY);
    using event = openEventFd();
    expect([1_000_000, file, folder, event.fd].map((fd) => code(fd))).toEqual([
      "EBADF",
      "EPERM",
      "EPERM",
      "watched",
    ]);
    closeFd(file);
    closeFd(folder);
  });

  test("a descriptor that is being watched, until that ends", () => {
    using event = openEventFd();
    const watch = watchReadable(event.fd, () => undefined);
    expect(() => watchReadable(event.fd, () => undefined)).toThrow(TypeError);
    watch.close();
    watchReadable(event.fd, () => undefined).close();
  });
});

const index = JSON.stringify(import.meta.resolve("./index.ts"));

/** Runs a program that has an eventfd in a process of its own. */
function run(program: string): { output: string[]; errors: string } {
  const whole = `
    import { openEventFd, watchReadable, yieldProcessor } from ${index};
    const event = openEventFd();
    ${program}`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--conditions=@loden/source", "--input-type=module", "--eval", whole],
    { encoding: "utf8" },
  );
  return { output: stdout.split("\n").filter(Boolean), errors: stderr };
}
