import { describe, expect, test } from "vitest";
import { selectMeasurements } from "./select-measurements.ts";

describe("selectMeasurements()", () => {
  test("selectMeasurements() takes everything but the other checkout and IPv6 when nothing is asked for", () => {
    const all = selectMeasurements();
    expect(all.topologies).toEqual(["wire", "veth"]);
    expect(all.kinds).toHaveLength(10);
    expect(all.rows).toEqual([
      "bare",
      "vxlan",
      "loden-vxlan",
      "loden-host-gw",
      "loden",
      "again",
      "userspace",
      "socat",
      "classic",
    ]);
  });

  test("selectMeasurements() takes what is named, and all of the sorts that aren't, when words come in any order", () => {
    expect(selectMeasurements(["base", "tcp1", "wire", "loden"], "/elsewhere")).toEqual({
      topologies: ["wire"],
      kinds: ["tcp1"],
      rows: ["loden", "base"],
      base: "/elsewhere",
    });
    expect(selectMeasurements(["loden6", "vxlan6"]).rows).toEqual(["vxlan6", "loden6"]);
    expect(selectMeasurements(["rtt"]).topologies).toEqual(["wire", "veth"]);
  });

  test("selectMeasurements() throws TypeError when a word names nothing", () => {
    expect(() => selectMeasurements(["tcp2"])).toThrow(TypeError);
    expect(() => selectMeasurements(["base"])).toThrow(/"base" names nothing/);
  });
});
