/**
 * `encap-inspect FILE`: explains the encapsulated packets of a capture file.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { explainFrame, usualPorts } from "./explain-frame.ts";
import { readCapture } from "./read-capture.ts";

const USAGE = "encap-inspect FILE [--port N] [--vxlan-port N]";

process.exitCode = main(process.argv.slice(2));

function main(args: string[]): number {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        port: { type: "string" },
        "vxlan-port": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    const [file] = positionals;
    if (values.help === true) console.log(USAGE);
    else if (file === undefined || positionals.length > 1) {
      throw new TypeError(`Cannot inspect ${positionals.length} files, expected one: ${USAGE}`);
    } else {
      const vxlan = values["vxlan-port"];
      explainFile(file, {
        plain: values.port === undefined ? usualPorts.plain : readPort("--port", values.port),
        vxlan: vxlan === undefined ? usualPorts.vxlan : [readPort("--vxlan-port", vxlan)],
      });
    }
    return 0;
  } catch (error) {
    console.error(`encap-inspect: ${(error as Error).message}`);
    return error instanceof TypeError || error instanceof RangeError ? 2 : 1;
  }
}

function readPort(flag: string, text: string): number {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw new RangeError(`Cannot read ${flag}: it is "${text}", expected a number from 1 to 65535`);
}

function explainFile(file: string, ports: Parameters<typeof explainFrame>[1]): void {
  const counts = { packet: 0, broken: 0, other: 0 };
  for (const [index, frame] of readCapture(readFileSync(file)).entries()) {
    const explanation = explainFrame(frame, ports);
    counts[explanation.type]++;
    if (explanation.type !== "other") console.log(`${index + 1}  ${explanation.text}`);
  }
  console.log(
    `${counts.packet} encapsulated packets, ${counts.broken} that do not decode, ${counts.other} others`,
  );
}
