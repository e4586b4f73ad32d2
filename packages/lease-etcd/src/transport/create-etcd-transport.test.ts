import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { createEtcdTransport } from "./create-etcd-transport.ts";
import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";
import type { EtcdMember, MemberCallOptions } from "./etcd-member.ts";
import type { EtcdTransport } from "./etcd-transport.ts";
import { ProtoWriter } from "../protobuf/proto-writer.ts";

type Result = Uint8Array | EtcdStatusError | undefined;
type Answer = (method: string, options: MemberCallOptions) => Result | Promise<Result>;

const call = { operation: "list leases" };
const range = { key: Buffer.from("key") };
const empty = new ProtoWriter().message(1, new ProtoWriter().int64(3, "7").finish()).finish();
const tokenAnswer = (token: string): Uint8Array => new ProtoWriter().bytes(2, token).finish();
const down = new EtcdStatusError(GrpcStatus.unavailable, "connection refused");
const stale = new EtcdStatusError(GrpcStatus.unauthenticated, "etcdserver: invalid auth token");
const credentials = { username: "loden", password: "a secret" };

/** Members that answer by a function each, and note who was asked for what. `undefined` is no answer at all. */
function clusterOf(...answers: readonly Answer[]): {
  members: EtcdMember[];
  asked: string[];
  aborted: string[];
} {
  const asked: string[] = [];
  const aborted: string[] = [];
  const members = answers.map((answer, index): EtcdMember => ({
    endpoint: `http://member${index}:2379`,
    async call(path, _, options) {
      const method = path.replace(/.*\//, "").toLowerCase();
      asked.push(`${index} ${method}`);
      const result = await answer(method, options);
      if (result instanceof EtcdStatusError) throw result;
      if (result !== undefined) return result;
      options.signal?.throwIfAborted();
      return new Promise((_resolve, reject) => {
        options.signal?.addEventListener("abort", () => {
          aborted.push(`${index} ${method}`);
          reject(options.signal?.reason as Error);
        });
      });
    },
    openWatch: () => Promise.reject(down),
    close() {},
  }));
  return { members, asked, aborted };
}

function transportOf(
  members: EtcdMember[],
  options: { user?: boolean; random?: number } = {},
): EtcdTransport {
  const { user = false, random = 0 } = options;
  return createEtcdTransport(members, {
    callTimeoutMs: 40,
    random: () => random,
    ...(user && { credentials }),
  });
}

describe("createEtcdTransport()", () => {
  test("asks one member as long as it answers", async () => {
    const { members, asked } = clusterOf(
      () => empty,
      () => empty,
    );
    const transport = transportOf(members, { random: 0.9 });
    await transport.range(range, call);
    await expect(transport.range(range, call)).resolves.toEqual({ revision: "7", entries: [], more: false });
    expect(asked).toEqual(["1 range", "1 range"]);
  });

  test("moves on to the next member when one fails, and stays there", async () => {
    const { members, asked } = clusterOf(
      () => down,
      () => new EtcdStatusError(GrpcStatus.deadlineExceeded, "too late"),
      () => empty,
    );
    const transport = transportOf(members);
    await transport.range(range, call);
    await transport.range(range, call);
    expect(asked).toEqual(["0 range", "1 range", "2 range", "2 range"]);
  });

  test("asks the next member beside one that is silent, hears who answers first, and stays there", async () => {
    const { members, asked, aborted } = clusterOf(
      () => undefined,
      () => empty,
    );
    const transport = transportOf(members);
    await transport.range(range, call);
    await transport.range(range, call);
    expect(asked).toEqual(["0 range", "1 range", "1 range"]);
    expect(aborted).toEqual(["0 range"]);
  });

  test("hears a silent member that answers after all, while another one is asked", async () => {
    const late = Promise.withResolvers<Uint8Array>();
    const { members } = clusterOf(
      () => late.promise,
      () => {
        late.resolve(empty);
        return undefined;
      },
    );
    await expect(transportOf(members).range(range, call)).resolves.toMatchObject({ revision: "7" });
  });

  test("gets a token from another member when the first one is silent", async () => {
    const { members } = clusterOf(
      () => undefined,
      (method) => (method === "authenticate" ? tokenAnswer("good") : empty),
    );
    await expect(transportOf(members, { user: true }).range(range, call)).resolves.toMatchObject({
      revision: "7",
    });
  });

  test("asks no second member beside one that works at a large answer", async () => {
    const { members, asked } = clusterOf(
      () => undefined,
      () => empty,
    );
    const signal = AbortSignal.timeout(30);
    const pending = transportOf(members).range(range, { ...call, isLarge: true, signal });
    await expect(pending).rejects.toMatchObject({ name: "TimeoutError" });
    expect(asked).toEqual(["0 range"]);
  });

  test("tries again when all members have failed once", async () => {
    let failures = 3;
    const { members, asked } = clusterOf(() => ((failures -= 1) > 0 ? down : empty));
    await transportOf(members, { random: 0.9 }).range(range, call);
    expect(asked).toHaveLength(3);
  });

  test("rejects with ERR_STORE_UNAVAILABLE and what each member said when its time is over", async () => {
    const { members } = clusterOf(
      () => down,
      () => new EtcdStatusError(GrpcStatus.unavailable, "etcdserver: no leader"),
    );
    await expect(transportOf(members).range(range, call)).rejects.toMatchObject({
      code: "ERR_STORE_UNAVAILABLE",
      message:
        "Cannot list leases: every etcd member failed (http://member0:2379: connection refused; " +
        "http://member1:2379: etcdserver: no leader), expected one that serves it",
    });
  });

  test("gives each round of members twice the time when the answer may be large", async () => {
    const times: number[] = [];
    const slow: Answer = (_, { timeoutMs }) => {
      times.push(timeoutMs);
      return times.length < 5 ? new EtcdStatusError(GrpcStatus.deadlineExceeded, "too late") : empty;
    };
    const { members } = clusterOf(slow, slow);
    await transportOf(members).range(range, { ...call, isLarge: true });
    expect(times.slice(0, 4)).toEqual([40, 40, 80, 80]);
    expect(times[4]).toBeGreaterThan(80);
  });

  test("rejects at once with ERR_STORE_REQUEST when etcd refuses the request", async () => {
    const compacted = new EtcdStatusError(GrpcStatus.outOfRange, "required revision has been compacted");
    const { members, asked } = clusterOf(
      () => compacted,
      () => empty,
    );
    await expect(transportOf(members).range(range, call)).rejects.toBe(compacted);
    expect(asked).toHaveLength(1);
  });

  test("gets one token for all calls, and another one when it has expired", async () => {
    let issued = 0;
    let valid = "token1";
    const { members, asked } = clusterOf((method, { token }) => {
      if (method === "authenticate") return tokenAnswer(`token${(issued += 1)}`);
      return token === valid ? empty : stale;
    });
    const transport = transportOf(members, { user: true });
    await Promise.all([transport.range(range, call), transport.range(range, call)]);
    expect(asked).toEqual(["0 authenticate", "0 range", "0 range"]);
    valid = "token2";
    await Promise.all([transport.range(range, call), transport.range(range, call)]);
    expect(asked.filter((what) => what === "0 authenticate")).toHaveLength(2);
  });

  test("gets a token from another member when the first one is down", async () => {
    const { members } = clusterOf(
      () => down,
      (method, { token }) =>
        method === "authenticate" ? tokenAnswer("good") : token === "good" ? empty : stale,
    );
    await expect(transportOf(members, { user: true }).range(range, call)).resolves.toMatchObject({
      revision: "7",
    });
  });

  test("rejects with ERR_STORE_DENIED and without a secret when etcd refuses the user", async () => {
    const { members, asked } = clusterOf(() => {
      return new EtcdStatusError(
        GrpcStatus.invalidArgument,
        "etcdserver: authentication failed, invalid user ID",
      );
    });
    const pending = transportOf(members, { user: true }).range(range, call);
    const error: unknown = await pending.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ERR_STORE_DENIED" });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("secret");
    expect(asked).toEqual(["0 authenticate"]);
  });

  test("rejects with ERR_STORE_DENIED when no fresh token does either", async () => {
    const { members, asked } = clusterOf((method) => (method === "authenticate" ? tokenAnswer("x") : stale));
    await expect(transportOf(members, { user: true }).range(range, call)).rejects.toMatchObject({
      code: "ERR_STORE_DENIED",
    });
    expect(asked).toHaveLength(6);
  });

  test("rejects with signal.reason when the signal aborts during a call, a wait for others' token included", async () => {
    const { members } = clusterOf(() => undefined);
    for (const user of [false, true]) {
      const stop = new AbortController();
      const pending = transportOf(members, { user }).range(range, { ...call, signal: stop.signal });
      const reason = new Error("enough");
      stop.abort(reason);
      await expect(pending).rejects.toBe(reason);
    }
  });

  test("rejects with ERR_STORE_CLOSED when it is closed", async () => {
    const { members } = clusterOf(() => down);
    const transport = transportOf(members);
    const pending = transport.range(range, call);
    transport.close();
    await expect(pending).rejects.toMatchObject({ code: "ERR_STORE_CLOSED" });
    await expect(transport.range(range, call)).rejects.toMatchObject({ code: "ERR_STORE_CLOSED" });
  });

  test("leaseGrant() succeeds when an earlier attempt made the lease", async () => {
    const exists = new EtcdStatusError(GrpcStatus.failedPrecondition, "etcdserver: lease already exists");
    const { members } = clusterOf(
      () => down,
      () => exists,
    );
    await expect(transportOf(members).leaseGrant({ id: "1", ttlSeconds: 5 }, call)).resolves.toBeUndefined();
  });

  test("leaseRevoke() succeeds when the lease is gone", async () => {
    const gone = new EtcdStatusError(GrpcStatus.notFound, "etcdserver: requested lease not found");
    const { members } = clusterOf(() => gone);
    await expect(transportOf(members).leaseRevoke("1", call)).resolves.toBeUndefined();
  });
});
