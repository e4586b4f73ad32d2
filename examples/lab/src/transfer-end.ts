/**
 * One end of a TCP transfer, as a process of its own inside a container's namespace: `receive ADDRESS` or `send ADDRESS PORT BYTES`.
 *
 * The receiver prints its port when it listens; both ends print one JSON line with bytes, checksum and seconds. It ends with its standard input,
 * so that nothing is left when the lab is killed.
 *
 * @module
 */
import { createConnection, createServer, type Socket } from "node:net";
import { crc32 } from "node:zlib";

/** What an end prints when it is done. */
export interface TransferEnd {
  readonly bytes: number;
  /** CRC-32 of all bytes. */
  readonly checksum: number;
  readonly seconds: number;
}

const [mode, address = "", port = "", size = ""] = process.argv.slice(2);
process.stdin.resume().once("end", () => process.exit(1));

if (mode === "receive") receive();
else send(Number(size));

function receive(): void {
  const server = createServer((socket) => {
    let bytes = 0;
    let checksum = 0;
    let started = 0;
    socket.on("data", (chunk) => {
      if (bytes === 0) started = performance.now();
      bytes += chunk.length;
      checksum = crc32(chunk, checksum);
    });
    socket.on("end", () => {
      finish({ bytes, checksum, seconds: (performance.now() - started) / 1000 });
    });
    socket.on("error", fail);
  });
  server.on("error", fail);
  server.listen({ host: address, port: 0 }, () => {
    const bound = server.address();
    if (bound !== null && typeof bound !== "string") console.log(JSON.stringify({ port: bound.port }));
  });
}

/** Pseudo-random bytes, another sequence in each block, so that a block that is lost, doubled or swapped changes the sum. */
function send(total: number): void {
  const block = Buffer.alloc(256 * 1024);
  let state = 0x9e3779b9;
  for (let i = 0; i < block.length; i += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    block.writeUInt32LE(state, i);
  }
  const started = performance.now();
  const socket = createConnection({ host: address, port: Number(port) }, () => pump(socket));
  socket.on("error", fail);
  let bytes = 0;
  let checksum = 0;
  let number = 0;

  function pump(to: Socket): void {
    for (;;) {
      if (bytes >= total) {
        to.end();
        to.once("close", () => finish({ bytes, checksum, seconds: (performance.now() - started) / 1000 }));
        return;
      }
      // A copy: the socket still holds the one before.
      const copy = Buffer.from(block.subarray(0, Math.min(block.length, total - bytes)));
      if (copy.length >= 4) copy.writeUInt32LE(number++, 0);
      bytes += copy.length;
      checksum = crc32(copy, checksum);
      if (!to.write(copy)) {
        to.once("drain", () => pump(to));
        return;
      }
    }
  }
}

function finish(result: TransferEnd): void {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

function fail(error: Error): void {
  console.error(error.message);
  process.exit(1);
}
