// Compiles the kernels: `node --conditions=@loden/source assembly/build.ts`. Writes `assembly/layout.ts` from `src/layout.ts`, and
// `src/kernels.wasm.ts` with what AssemblyScript makes of `assembly/index.ts`.
import { writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";
import * as layout from "../src/layout.ts";
import { Verdict } from "../src/verdict.ts";

const folder = new URL(".", import.meta.url);

/** The kernels as WebAssembly, and the constants that their source imports. */
export interface CompiledKernels {
  readonly layout: string;
  readonly module: string;
}

/** Compiles the kernels without writing anything. */
export async function compileKernels(): Promise<CompiledKernels> {
  const constants = layoutSource();
  const flags =
    "-O3 --noAssert --runtime stub --importMemory --sharedMemory --initialMemory 1 --maximumMemory 65536";
  const features = "--enable simd --enable threads --enable bulk-memory --use abort=";
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    ["index.ts", ...flags.split(" "), ...features.split(" "), "--outFile", "kernels.wasm"],
    {
      readFile: async (name) => {
        if (name === "layout.ts") return constants;
        return readText(name);
      },
      writeFile: (_name, contents) => {
        if (contents instanceof Uint8Array) binary = contents;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || binary === undefined)
    throw new Error(`Cannot compile the kernels: ${stderr.toString()}`);
  const base64 = Buffer.from(binary)
    .toString("base64")
    .replaceAll(/.{1,100}/g, "  $&\n");
  const module = `// Written by assembly/build.ts from assembly/index.ts. Do not edit.\n\n/** The kernels as WebAssembly, in base64 with blanks. */\nexport const kernelsBase64: string = \`\n${base64}\`;\n`;
  return { layout: constants, module };
}

async function readText(name: string): Promise<string | null> {
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL(name, folder), "utf8").catch(() => null);
}

function layoutSource(): string {
  const lines: string[] = [];
  const constants = Object.entries({ ...layout, Verdict }).toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, value] of constants) {
    if (typeof value === "number") lines.push(`export const ${name}: usize = ${value};`);
    else if (typeof value === "object") {
      const type = name === "Verdict" ? "u32" : "usize";
      for (const [field, number] of Object.entries(value)) {
        if (typeof number === "number") lines.push(`export const ${name}_${field}: ${type} = ${number};`);
      }
    }
  }
  return `// Written by assembly/build.ts from src/layout.ts and src/verdict.ts. Do not edit.\n${lines.join("\n")}\n`;
}

if (process.argv[1] === import.meta.filename) {
  const compiled = await compileKernels();
  writeFileSync(new URL("layout.ts", folder), compiled.layout);
  writeFileSync(new URL("../src/kernels.wasm.ts", folder), compiled.module);
  console.log(`src/kernels.wasm.ts: ${compiled.module.length} characters`);
}
