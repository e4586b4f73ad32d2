import { closeFd, constants, errno, receiveFrom } from "@loden/linux";
import {
  decodeLink,
  decodeMessages,
  decodeStatus,
  encodeLink,
  encodeNftBatchBegin,
  encodeNftFilter,
  MessageFlag,
  MessageType,
  NftMessageType,
} from "@loden/netlink";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openNetlinkFd } from "./open-netlink-fd.ts";
import {
  netlinkError,
  type NetlinkRequest,
  type NetlinkSocket,
  openNetlinkSocket,
} from "./open-netlink-socket.ts";

let netns: Netns;
let socket: NetlinkSocket;

beforeEach(() => {
  netns = createNetns();
  socket = openNetlinkSocket({ protocol: "route", netns, strict: true });
});
afterEach(() => {
  socket.close();
  netns.close();
});

const list: NetlinkRequest = {
  type: MessageType.getLink,
  payload: encodeLink({ index: 0 }),
  attempt: () => "list links",
};
const addBridge = (name: string): NetlinkRequest => ({
  type: MessageType.newLink,
  flags: MessageFlag.create | MessageFlag.exclusive,
  payload: encodeLink({ index: 0, name, info: { kind: "bridge" } }),
  attempt: () => `add link ${name}`,
});

/** Sends requests of which only the last is acknowledged, and gives the errors by their place. */
function exchange(requests: readonly NetlinkRequest[]): (number | undefined)[] {
  const last = requests.length - 1;
  const first = socket.send(requests, (index) => (index === last ? MessageFlag.acknowledge : 0));
  const errors = requests.map((): number | undefined => undefined);
  for (;;)
    for (const message of socket.receive(requests[0]!)) {
      const index = message.sequence - first;
      errors[index] = decodeStatus(message).errno;
      if (index === last) return errors;
    }
}

test("dump() lists the namespace's objects, and hands on what reading throws once it has read to the end", () => {
  expect(socket.dump(list, ({ payload }) => decodeLink(payload).name)).toEqual(["lo"]);
  expect(socket.dump(list, () => undefined)).toEqual([]);
  const refuse = (): never => {
    throw new TypeError("no");
  };
  expect(() => socket.dump(list, refuse)).toThrow(TypeError);
  expect(socket.dump(list, ({ payload }) => decodeLink(payload).name)).toEqual(["lo"]);
});

test("send() numbers what stands in one datagram, so that each refusal finds its request", () => {
  expect(exchange([addBridge("one"), addBridge("one"), addBridge("two")])).toEqual([
    undefined,
    errno.EEXIST,
    0,
  ]);
  expect(socket.dump(list, ({ payload }) => decodeLink(payload).name)).toEqual(["lo", "one", "two"]);
  expect(socket.portId).toBeGreaterThan(0);
});

test("receiveNow() gives nothing when nothing is there", () => {
  expect(socket.receiveNow(list)).toBeUndefined();
});

test("dump() says what was attempted when the kernel refuses", () => {
  const wrong = { ...list, payload: new Uint8Array(3), attempt: () => "list nonsense" };
  expect(() => socket.dump(wrong, () => 1)).toThrow(/^Cannot list nonsense: /);
});

test("netlinkError() carries the kernel's code and words", () => {
  expect(netlinkError(list, { errno: errno.EPERM, detail: "not you" })).toMatchObject({
    code: "EPERM",
    syscall: "netlink",
    message: expect.stringMatching(/^Cannot list links: .*not you/),
  });
});

test("close() closes, again does nothing, and what is sent then fails with what it was for", () => {
  socket.close();
  socket.close();
  const closed = TypeError("Cannot list links: the netlink socket is closed, expected an open one");
  expect(() => socket.send([list], () => 0)).toThrow(closed);
  expect(() => socket.dump(list, () => 0)).toThrow(closed);
});

test("receive(), receiveNow() and reserve() of a closed socket leave alone who has its descriptor now", () => {
  socket.close();
  // The lowest free number is given out again.
  const fd = openNetlinkFd({ protocol: "route", netns, groups: 1, nonBlocking: true });
  try {
    using other = openNetlinkSocket({ protocol: "route", netns });
    other.send([addBridge("heard")], () => MessageFlag.acknowledge);
    other.receive(list);
    const closed = "the netlink socket is closed";
    expect(() => socket.reserve(1 << 20)).toThrow(closed);
    expect(() => socket.receiveNow(list)).toThrow(closed);
    expect(() => socket.receive(list)).toThrow(closed);
    expect(receiveFrom(fd, new Uint8Array(65_536))).toBeDefined();
  } finally {
    closeFd(fd);
  }
});

test("reserve() makes room for a datagram that the usual buffer does not hold", () => {
  using netfilter = openNetlinkSocket({ protocol: "netfilter", netns });
  const begin = { type: NftMessageType.batchBegin, payload: encodeNftBatchBegin(), attempt: () => "begin" };
  const large = {
    type: NftMessageType.getTable,
    payload: new Uint8Array(1 << 20),
    attempt: () => "send much",
  };
  expect(() => netfilter.send([begin, large], () => 0)).toThrow(/EMSGSIZE|too long/i);
  netfilter.reserve(2 << 20);
  netfilter.send([begin, large], () => 0);
  const generation = {
    type: NftMessageType.getGeneration,
    payload: encodeNftFilter(),
    attempt: () => "read the generation",
  };
  const sequence = netfilter.send([generation], () => 0);
  const answers = [];
  for (let some = netfilter.receiveNow(generation); some; some = netfilter.receiveNow(generation))
    answers.push(...some.map((message) => ({ type: message.type, sequence: message.sequence })));
  expect(answers).toContainEqual({ type: NftMessageType.newGeneration, sequence });
});

test("openNetlinkFd() hears the groups that it is told to", () => {
  const fd = openNetlinkFd({ protocol: "route", netns, groups: 1, nonBlocking: true });
  try {
    exchange([addBridge("heard")]);
    const buffer = new Uint8Array(65_536);
    const { length } = receiveFrom(fd, buffer, constants.MSG_TRUNC)!;
    const [message] = decodeMessages(buffer.subarray(0, length));
    expect([message?.type, decodeLink(message!.payload).name]).toEqual([MessageType.newLink, "heard"]);
  } finally {
    closeFd(fd);
  }
});

test("openNetlinkSocket() asks the kernel's IPsec, and openNetlinkFd() hears of its policies", () => {
  using ipsec = openNetlinkSocket({ protocol: "xfrm", netns });
  // linux/xfrm.h: XFRM_MSG_GETPOLICY.
  const policies = { type: 0x15, payload: new Uint8Array(0), attempt: () => "list policies" };
  expect(ipsec.dump(policies, ({ type }) => type)).toEqual([]);
  // XFRMNLGRP_POLICY.
  const fd = openNetlinkFd({ protocol: "xfrm", netns, groups: 1 << 3, nonBlocking: true });
  try {
    // XFRM_MSG_SETDEFAULT, which leaves all three as they are, and tells of it with XFRM_MSG_GETDEFAULT.
    const defaults = { type: 0x27, payload: new Uint8Array(3), attempt: () => "set defaults" };
    ipsec.send([defaults], () => MessageFlag.acknowledge);
    expect(ipsec.receive(defaults).map((answer) => decodeStatus(answer).errno)).toEqual([0]);
    const buffer = new Uint8Array(4096);
    const { length } = receiveFrom(fd, buffer)!;
    expect(decodeMessages(buffer.subarray(0, length)).map(({ type }) => type)).toEqual([0x28]);
  } finally {
    closeFd(fd);
  }
});
