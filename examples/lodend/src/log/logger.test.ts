import { channel } from "node:diagnostics_channel";
import { parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { logDiagnostics } from "./log-diagnostics.ts";
import { createLogger, type LogFields, type LoggerOptions } from "./logger.ts";

function logged(options: Partial<LoggerOptions>, ...lines: [message: string, fields?: LogFields][]): string {
  let text = "";
  const write = (line: string): void => void (text += line);
  const now = (): number => Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  const logger = createLogger({ format: "json", isVerbose: false, secrets: [], write, now, ...options });
  for (const [message, fields] of lines) logger.log("info", message, fields);
  return text;
}

describe("createLogger()", () => {
  test("writes a JSON object a line", () => {
    const fields = {
      subnet: parsePrefix("10.1.0.0/24"),
      error: new Error("no\nluck"),
      count: 3,
      none: undefined,
    };
    expect(logged({}, ["joined", fields])).toBe(
      '{"time":"2026-01-02T03:04:05.678Z","level":"info","message":"joined","subnet":"10.1.0.0/24","error":"no\\nluck","count":3}\n',
    );
  });

  test("writes for humans", () => {
    const fields = { subnet: parsePrefix("10.1.0.0/24"), why: "not now", none: undefined };
    expect(logged({ format: "human" }, ["joined", fields])).toBe(
      '03:04:05 info  joined subnet=10.1.0.0/24 why="not now"\n',
    );
    const list = { changes: ["peer 1 left", "peer 2 joined"], ms: 68.37364063649201 };
    expect(logged({ format: "human" }, ["peers changed", list])).toBe(
      '03:04:05 info  peers changed changes="peer 1 left, peer 2 joined" ms=68.374\n',
    );
  });

  test("hides secrets wherever they are", () => {
    const nested = { error: new Error("user root, password hunter2"), list: [{ deep: "hunter2" }] };
    for (const format of ["json", "human"] as const) {
      const text = logged({ format, secrets: ["hunter2", ""] }, ["hunter2 said", nested]);
      expect(text).not.toContain("hunter2");
      expect(text).toContain("*** said");
    }
  });

  test("writes debug lines only when it is verbose", () => {
    for (const isVerbose of [false, true]) {
      const lines: string[] = [];
      const options = {
        format: "json",
        isVerbose,
        secrets: [],
        write: (line: string) => lines.push(line),
      } as const;
      createLogger({ ...options, write: (line) => void lines.push(line) }).log("debug", "detail");
      expect(lines).toHaveLength(isVerbose ? 1 : 0);
    }
  });
});

test("logDiagnostics() makes lines of what the libraries publish, until it is stopped", () => {
  const seen: unknown[] = [];
  const events: string[] = [];
  const stop = logDiagnostics({ log: (...line) => void seen.push(line) }, (area, type) =>
    events.push(`${area} ${type}`),
  );
  channel("loden:backend").publish({ type: "pumpRestarted", restarts: 1 });
  channel("loden:backend").publish({ type: "kernelPathChanged", on: false, reason: "it is switched off" });
  channel("loden:backend").publish({ type: "attributesChanged", attributes: { backendType: "udp" } });
  channel("loden:route").publish({ type: "changed", table: 254 });
  const route = { destination: parsePrefix("10.1.0.0/16"), link: "loden0", protocol: 76 };
  channel("loden:route").publish({ type: "removed", object: { type: "route", route } });
  channel("loden:firewall").publish({ type: "changed", firewall: "loden" });
  channel("loden:lease").publish({ type: "watch-retrying", attempt: 2 });
  stop();
  channel("loden:lease").publish({ type: "watch-retrying", attempt: 3 });
  expect(seen).toEqual([
    ["error", "backend: pump restarted", { restarts: 1 }],
    ["info", "backend: kernel path changed", { on: false, reason: "it is switched off" }],
    ["info", "backend: attributes changed", { attributes: { backendType: "udp" } }],
    ["warn", "route: changed", { table: 254 }],
    ["warn", "route: removed", { object: "route 10.1.0.0/16 dev loden0 proto 76" }],
    ["info", "firewall: changed", { firewall: "loden" }],
    ["debug", "lease: watch retrying", { attempt: 2 }],
  ]);
  expect(events).toEqual([
    "backend pumpRestarted",
    "backend kernelPathChanged",
    "backend attributesChanged",
    "route changed",
    "route removed",
    "firewall changed",
    "lease watch-retrying",
  ]);
});
