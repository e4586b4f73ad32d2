import { describe, expect, test } from "vitest";
import type { Readings, RowName } from "./run-rounds.ts";
import { namedRatios } from "./summarize-readings.ts";

/** One round in which every value of a row is the same. */
function readingsOf(rows: Partial<Record<RowName, number>>): Readings {
  return { of: (_topology, _kind, row) => [rows[row]], samples: () => [] };
}

describe("namedRatios()", () => {
  test("namedRatios() divides Loden's and userspace's values by the same ones when both are there", () => {
    const named = namedRatios(readingsOf({ loden: 2, again: 3, userspace: 6, vxlan: 4, classic: 1 }));
    const find = (wanted: string) => named.find(({ name }) => name === wanted);
    for (const name of ["rxcpu", "txcpu", "txallcpu", "rxcpu8", "rxcpu64"]) {
      expect(find(`${name}/vxlan`)?.ratio.median).toBe(0.5);
      expect(find(`${name}/vxlan`)?.again?.median).toBe(1.5);
      expect(find(`${name}Userspace/vxlan`)).toMatchObject({
        target: "-",
        ratio: { median: 1.5 },
        again: undefined,
      });
    }
    for (const name of ["tcp1veth", "tcp8veth"])
      expect(find(`${name}Userspace/vxlanveth`)?.ratio.median).toBe(1.5);
    for (const name of ["tcp1veth", "rtt50veth", "rtt99veth"])
      expect(find(`${name}Userspace/classicveth`)?.ratio.median).toBe(6);
    expect(find("tcp1/socat")).toBeUndefined();
  });

  test("namedRatios() leaves userspace out when it has no values, and asks nothing of it", () => {
    const named = namedRatios(readingsOf({ loden: 2, vxlan: 4, socat: 1 })).map(({ name }) => name);
    expect(named).toContain("tcp1/socat");
    expect(named.filter((name) => name.includes("Userspace"))).toEqual([]);
  });
});
