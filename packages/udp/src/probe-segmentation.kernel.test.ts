import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test("probeSegmentation() keeps the memory that it polls with, however often garbage is collected meanwhile", () => {
  // Once V8 has optimised what polls, only what is used later is kept. Collected in one thread, memory is gone at once.
  const program = `
    import { probeSegmentation } from ${JSON.stringify(import.meta.resolve("./probe-segmentation.ts"))};
    import { parseAddress } from "@loden/ip";
    import { sys } from "@loden/linux";
    const { poll } = sys;
    let polls = 0;
    sys.poll = (...given) => {
      if (++polls % 50 === 0) globalThis.gc({ type: "minor" });
      return poll(...given);
    };
    const found = new Set();
    for (let i = 0; i < 300; i++) found.add(probeSegmentation(parseAddress("127.0.0.1")));
    console.log(found.size);`;
  const flags = ["--conditions=@loden/source", "--expose-gc", "--single-threaded-gc"];
  const { stdout, stderr, signal } = spawnSync(
    process.execPath,
    [...flags, "--input-type=module", "--eval", program],
    { encoding: "utf8", cwd: import.meta.dirname },
  );
  expect({ stdout, stderr, signal }).toEqual({ stdout: "1\n", stderr: "", signal: null });
});
