import { expect, test } from "vitest";
import { layerOf, pointsDown } from "./layers.ts";

test("layerOf() knows a package by its name", () => {
  expect(layerOf("encap")).toBe("values");
  expect(layerOf("lease")).toBe("contracts");
  expect(layerOf("tun")).toBe("kernel");
  expect(layerOf("lease-etcd")).toBe("adapters");
  expect(layerOf("tun-fast")).toBeUndefined();
  expect(layerOf("lease-")).toBeUndefined();
});

test("pointsDown() is true when the arrow goes to a lower layer or further down in its own", () => {
  expect(pointsDown("netlink", "ip")).toBe(true);
  expect(pointsDown("backend", "lease")).toBe(true);
  expect(pointsDown("route", "rtnetlink")).toBe(true);
  expect(pointsDown("backend-udp", "tun")).toBe(true);
});

test("pointsDown() is false when the arrow goes up, sideways, or between adapters", () => {
  expect(pointsDown("ip", "netlink")).toBe(false);
  expect(pointsDown("lease", "backend")).toBe(false);
  expect(pointsDown("backend", "tun")).toBe(false);
  expect(pointsDown("tun", "lease")).toBe(false);
  expect(pointsDown("backend-udp", "lease-memory")).toBe(false);
  expect(pointsDown("lease-etcd", "lease-memory")).toBe(false);
  expect(pointsDown("ip", "ip")).toBe(false);
});
