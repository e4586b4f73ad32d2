import { expect, test } from "vitest";
import { parseEndpoints } from "./parse-endpoints.ts";

test("parseEndpoints() takes URLs with a port, each once, without the slash at the end", () => {
  const endpoints = [
    "http://127.0.0.1:2379/",
    "HTTP://127.0.0.1:2379",
    "http://[fd00::1]:2379",
    "http://etcd-1.example:4001",
  ];
  expect(parseEndpoints(endpoints, false)).toEqual([
    "http://127.0.0.1:2379",
    "http://[fd00::1]:2379",
    "http://etcd-1.example:4001",
  ]);
});

test.each([
  "127.0.0.1:2379",
  "http://127.0.0.1",
  "http://127.0.0.1:70000",
  "http://a:1/path",
  "ftp://a:1",
  "http://a b:1",
  "",
])("parseEndpoints() throws SyntaxError when an endpoint is %j", (endpoint) => {
  expect(() => parseEndpoints([endpoint], false)).toThrow(SyntaxError);
});

test("parseEndpoints() does not repeat a password when it throws", () => {
  expect(() => parseEndpoints(["http://root:secret@127.0.0.1:2379"], false)).toThrow(
    'Cannot parse etcd endpoint: "http://***@127.0.0.1:2379", expected a URL such as http://127.0.0.1:2379',
  );
});

test.each([
  ["there is none", [], false],
  ["http and https are mixed", ["http://a:1", "https://b:1"], false],
  ["certificates are given for http", ["http://a:1"], true],
])("parseEndpoints() throws TypeError when %s", (_, endpoints, isSecure) => {
  expect(() => parseEndpoints(endpoints, isSecure)).toThrow(TypeError);
});
