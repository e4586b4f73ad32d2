import { read } from "./workspace.ts";

/** A fenced program in a README. */
export interface ReadmeExample {
  /** The README, from the root. */
  readonly readme: string;
  /** The line of the opening fence, from 1. */
  readonly line: number;
  readonly code: string;
  /** Marked `ts kernel`: it runs as root in fresh namespaces. */
  readonly kernel: boolean;
  /** Marked `ts kernel root`: root of a user namespace is not enough. */
  readonly root: boolean;
}

/** The `ts`, `ts kernel` and `ts kernel root` blocks of a README; blocks in other languages are not programs. */
export function readmeExamples(readme: string): readonly ReadmeExample[] {
  const examples: ReadmeExample[] = [];
  let open: { readonly line: number; readonly info: string; readonly lines: string[] } | undefined;
  for (const [index, line] of read(readme).split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { line: index + 1, info: fence[1]?.trim() ?? "", lines: [] };
    else {
      const [language, ...words] = open.info.split(/\s+/);
      if (language === "ts") {
        const code = `${open.lines.join("\n")}\n`;
        const [kernel, root] = [words.includes("kernel"), words.includes("root")];
        examples.push({ readme, line: open.line, code, kernel, root });
      }
      open = undefined;
    }
  }
  return examples;
}
