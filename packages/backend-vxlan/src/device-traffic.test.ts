import { expect, test } from "vitest";
import { createTrafficCounter } from "./device-traffic.ts";

const head = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000000    9999    0    0    0     0          0         0  1000000    9999    0    0    0     0       0          0
`;

test("createTrafficCounter() counts from its creation on, over devices that are made again, and nobody else's", () => {
  let text = `${head}loden.1:   100       1    0    0    0     0          0         0      200       2    0    5    0     0       0          0\n`;
  const traffic = createTrafficCounter(["loden.1", "loden-v6.1"], () => text);
  const nothing = { packets: 0, bytes: 0, dropped: { deviceError: 0, deviceDrop: 0 } };
  expect(traffic()).toEqual({ outbound: nothing, inbound: nothing });
  text = `${head}loden.1:  1100      11    1    2    0     0          0         0     2200      22    3    9    0     0       3          0
loden-v6.1:     70       1    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n`;
  const first = {
    outbound: { packets: 20, bytes: 2000, dropped: { deviceError: 3, deviceDrop: 4 } },
    inbound: { packets: 11, bytes: 1070, dropped: { deviceError: 1, deviceDrop: 2 } },
  };
  expect(traffic()).toEqual(first);
  // Both are gone, and one comes back: another device of that name.
  text = head;
  expect(traffic()).toEqual(first);
  text = `${head}loden.1:    30       1    0    0    0     0          0         0       40       1    0    0    0     0       0          0\n`;
  expect(traffic().outbound).toMatchObject({ packets: 21, bytes: 2040 });
  expect(traffic().inbound).toMatchObject({ packets: 12, bytes: 1100 });
  // Made again between two readings.
  text = `${head}loden.1:    10       1    0    0    0     0          0         0       10       1    0    0    0     0       0          0\n`;
  expect(traffic().inbound).toMatchObject({ packets: 13, bytes: 1110 });
});
