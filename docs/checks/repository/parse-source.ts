import { type ParseResult, parseSync } from "oxc-parser";
import { read } from "./workspace.ts";

/** A source file, parsed. */
export interface Source {
  /** From the root. */
  readonly name: string;
  readonly text: string;
  readonly program: ParseResult["program"];
  readonly module: ParseResult["module"];
  readonly comments: ParseResult["comments"];
}

/** A name that a file exports. */
export interface ExportedName {
  readonly name: string;
  readonly isType: boolean;
  /** The file it is taken over from, as written; absent for what the file declares itself. */
  readonly from?: string | undefined;
  /** Its name in that file. */
  readonly original: string;
}

const parsed = new Map<string, Source>();

/** Parses a source file once. Throws SyntaxError when it is not TypeScript. */
export function parseSource(name: string): Source {
  const known = parsed.get(name);
  if (known !== undefined) return known;
  const text = read(name);
  const { program, module, comments, errors } = parseSync(name, text);
  if (errors.length > 0) throw new SyntaxError(`Cannot parse ${name}: ${errors[0]?.message}`);
  const source = { name, text, program, module, comments };
  parsed.set(name, source);
  return source;
}

/** What a file imports or takes over from elsewhere: module specifiers, static and dynamic ones with a literal. */
export function importsOf({ module, text }: Source): readonly string[] {
  const statics = module.staticImports.map(({ moduleRequest }) => moduleRequest.value);
  const taken = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest }) => (moduleRequest === null ? [] : [moduleRequest.value])),
  );
  const dynamics = module.dynamicImports.flatMap(({ moduleRequest }) => {
    const literal = /^["'`](.+)["'`]$/.exec(text.slice(moduleRequest.start, moduleRequest.end));
    return literal?.[1] === undefined ? [] : [literal[1]];
  });
  // createRequire(...)("x") and import.meta.resolve("x") reach modules as well
  const calls = [...text.matchAll(/\b(?:require|import\.meta\.resolve)\(\s*["'`]([^"'`]+)["'`]/g)];
  const called = calls.flatMap((match) => match[1] ?? []);
  return [...new Set([...statics, ...taken, ...dynamics, ...called])];
}

/** The names that a file exports. A star is kept as the name `*`. */
export function exportsOf({ module }: Source): readonly ExportedName[] {
  return module.staticExports.flatMap(({ entries }) =>
    entries.map(({ exportName, importName, localName, moduleRequest, isType }) => ({
      name: exportName.name ?? (moduleRequest === null ? "default" : "*"),
      isType,
      from: moduleRequest?.value,
      original: importName.name ?? localName.name ?? "*",
    })),
  );
}
