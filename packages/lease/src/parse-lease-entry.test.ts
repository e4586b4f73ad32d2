import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { parseAddress } from "@loden/ip";
import { formatSubnet } from "@loden/subnet";
import { expect, test } from "vitest";
import { leaseChannelName } from "./diagnostics.ts";
import { parseLeaseEntry } from "./parse-lease-entry.ts";

const value = '{"PublicIP":"1.2.3.4","PublicIPv6":null}';

test("parseLeaseEntry() reads key and value", () => {
  const entry = parseLeaseEntry("/coreos.com/network/subnets/10.5.52.0-24", value);
  expect(entry && formatSubnet(entry.subnet)).toBe("10.5.52.0/24");
  expect(entry?.attributes).toEqual({ publicIP: parseAddress("1.2.3.4"), backendType: "" });
});

test.each([
  ["a key that names no subnet", "10.5.52-24", value, "the key names no subnet"],
  ["a value that is no JSON", "10.5.52.0-24", "{", "Cannot parse lease value"],
  ["a value with a bad address", "10.5.52.0-24", '{"PublicIP":"1.2"}', 'PublicIP is "1.2"'],
])("parseLeaseEntry() leaves out and reports %s (flannel: poison pill)", (_, key, text, reason) => {
  const messages: unknown[] = [];
  const listener = (message: unknown): void => void messages.push(message);
  subscribe(leaseChannelName, listener);
  try {
    expect(parseLeaseEntry(key, text)).toBeUndefined();
  } finally {
    unsubscribe(leaseChannelName, listener);
  }
  expect(messages).toEqual([
    { type: "entry-skipped", key, value: text, reason: expect.stringContaining(reason) },
  ]);
});
