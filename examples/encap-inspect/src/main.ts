/**
 * `encap-inspect FILE`: explains the encapsulated packets of a capture file.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { explainFrame, usualPorts } from "./explain-frame.ts";
import { readCapture } from "./read-capture.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { port: { type: "string" }, "vxlan-port": { type: "string" } },
});
const [file] = positionals;
if (file === undefined || positionals.length > 1) {
  console.error("Usage: encap-inspect FILE [--port N] [--vxlan-port N]");
  process.exit(2);
}
const ports = {
  plain: values.port === undefined ? usualPorts.plain : Number(values.port),
  vxlan: values["vxlan-port"] === undefined ? usualPorts.vxlan : [Number(values["vxlan-port"])],
};
const counts = { packet: 0, broken: 0, other: 0 };
for (const [index, frame] of readCapture(readFileSync(file)).entries()) {
  const explanation = explainFrame(frame, ports);
  counts[explanation.type]++;
  if (explanation.type !== "other") console.log(`${index + 1}  ${explanation.text}`);
}
console.log(
  `${counts.packet} encapsulated packets, ${counts.broken} that do not decode, ${counts.other} others`,
);
