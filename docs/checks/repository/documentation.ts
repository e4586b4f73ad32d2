import { dirname, join } from "node:path";
import { exportsOf, parseSource, type Source } from "./parse-source.ts";
import { listSources } from "./workspace.ts";

// The parts of oxc's syntax tree that are read here.
interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}
interface Declaration extends Node {
  readonly id?: { readonly name: string } | null;
  readonly declarations?: readonly { readonly id: { readonly name?: string } }[];
  readonly declaration?: Declaration | null;
  readonly body?: { readonly body: readonly ClassOrInterfaceMember[] };
  readonly superClass?: unknown;
  readonly implements?: readonly Heritage[];
  readonly extends?: readonly Heritage[];
}
interface Heritage {
  readonly expression: { readonly name?: string };
}
interface ClassOrInterfaceMember extends Node {
  readonly key?: { readonly type: string; readonly name?: string };
  readonly kind?: string;
  readonly computed?: boolean;
  readonly override?: boolean;
  readonly accessibility?: string | null;
  readonly value?: { readonly params?: readonly unknown[] } | null;
}
interface Found {
  readonly source: Source;
  /** The statement, with its `export`. */
  readonly statement: Node;
  readonly declaration: Declaration;
}

/**
 * The names that an entry point exports without a doc comment, and the public members of its classes and interfaces that have none, as
 * `file: name` or `file: Class.member`.
 */
export function undocumented(entry: string): readonly string[] {
  const missing = exportsOf(parseSource(entry)).flatMap(({ name, from, original }) => {
    const file = from === undefined ? entry : resolve(entry, from);
    // what another package documents is checked there
    if (file === undefined) return [];
    const found = find(file, from === undefined ? name : original);
    if (found === undefined) return [`${file}: ${name} is not declared there`];
    const own = hasDoc(found.source, found.statement.start) ? [] : [`${found.source.name}: ${name}`];
    const members = undocumentedMembers(found).map((member) => `${found.source.name}: ${name}.${member}`);
    return [...own, ...members];
  });
  return [...new Set(missing)];
}

function resolve(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? join(dirname(from), specifier) : undefined;
}

// The first declaration of the name, here or where this file has it from; the first of several overloads carries the doc.
function find(file: string, name: string): Found | undefined {
  const source = parseSource(file);
  for (const statement of source.program.body as unknown as readonly Declaration[]) {
    const declaration = statement.declaration ?? statement;
    const names = declaration.declarations?.map(({ id }) => id.name) ?? [declaration.id?.name];
    if (names.includes(name)) return { source, statement, declaration };
  }
  const taken = exportsOf(source).find((exported) => exported.name === name && exported.from !== undefined);
  const next = taken?.from === undefined ? undefined : resolve(file, taken.from);
  return next === undefined || taken === undefined ? undefined : find(next, taken.original);
}

function undocumentedMembers({ source, declaration }: Found): readonly string[] {
  const kinds = ["ClassDeclaration", "TSInterfaceDeclaration"];
  if (!kinds.includes(declaration.type)) return [];
  const heritage = [...(declaration.implements ?? []), ...(declaration.extends ?? [])];
  const contracts = heritage.flatMap(({ expression }) => expression.name ?? []);
  const known = new Set(contracts.flatMap((contract) => interfaceMembers().get(contract) ?? []));
  const overloaded = new Set<string>();
  return (declaration.body?.body ?? []).flatMap((member) => {
    const name = member.kind === "constructor" ? "constructor" : (member.key?.name ?? "");
    const first = !overloaded.has(name);
    overloaded.add(name);
    const inherited = name === "constructor" && Boolean(declaration.superClass);
    return first && needsDoc(member) && !inherited && !known.has(name) && !hasDoc(source, member.start)
      ? [name]
      : [];
  });
}

// Not private, not overriding what is documented above it, not one of the names that mean the same everywhere.
function needsDoc(member: ClassOrInterfaceMember): boolean {
  if (member.key === undefined || member.key.type === "PrivateIdentifier" || member.computed === true)
    return false;
  if (member.accessibility === "private" || member.override === true || member.kind === "set") return false;
  if (member.kind === "constructor") return (member.value?.params?.length ?? 0) > 0;
  return !["toString", "toJSON", "name", "code", "kind", "message", "cause"].includes(member.key.name ?? "");
}

let interfaces: Map<string, string[]> | undefined;

// Members by the name of their interface, over all packages: who implements or extends it need not say them again.
function interfaceMembers(): ReadonlyMap<string, readonly string[]> {
  if (interfaces !== undefined) return interfaces;
  interfaces = new Map();
  for (const file of listSources("packages/")) {
    for (const statement of parseSource(file).program.body as unknown as readonly Declaration[]) {
      const declaration = statement.declaration ?? statement;
      if (declaration.type !== "TSInterfaceDeclaration") continue;
      const members = declaration.body?.body.flatMap(({ key }) => key?.name ?? []) ?? [];
      interfaces.set(declaration.id?.name ?? "", members);
    }
  }
  return interfaces;
}

// A block that starts with two asterisks, says something, and has only white space between itself and what it documents.
function hasDoc({ text, comments }: Source, start: number): boolean {
  return comments.some(
    ({ type, value, end }) =>
      type === "Block" &&
      /^\*\s*\S[\s\S]{5,}/.test(value) &&
      end <= start &&
      text.slice(end, start).trim() === "",
  );
}
