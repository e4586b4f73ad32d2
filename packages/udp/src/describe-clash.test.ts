import { expect, test } from "vitest";
import { parseSocketTable } from "./describe-clash.ts";

// Lines as `cat /proc/net/udp /proc/net/udp6` prints them.
const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  374: 0100007F:205D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 52341 2 00000000c1b0d7ad 0
  375: 0A01A8C0:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 7 2 00000000c1b0d7ad 0
  380: 000080FD000000000000000001000000:205D 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 52342 2 0000000000000000 0
 nonsense
`;

test("parseSocketTable() reads addresses, ports and inodes of both families", () => {
  expect(
    parseSocketTable(table).map(({ address, port, inode }) => [address.toString(), port, inode]),
  ).toEqual([
    ["127.0.0.1", 8285, "52341"],
    ["192.168.1.10", 68, "7"],
    ["fd80::1", 8285, "52342"],
  ]);
});

test("parseSocketTable() finds nothing when there is no table", () => {
  expect(parseSocketTable("")).toEqual([]);
});
