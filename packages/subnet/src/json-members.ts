/**
 * The members of a JSON object in the order of the text, duplicates included, each value as its own source text. This is
 * what `JSON.parse` cannot tell: which of `Port` and `port` came last, and whether a number was written `24` or `24.0`.
 *
 * @param text - JSON text that `JSON.parse` accepts, holding an object.
 * @returns Name and source text of each member of the outermost object.
 */
export function jsonMembers(text: string): { readonly name: string; readonly source: string }[] {
  const members: { name: string; source: string }[] = [];
  let depth = 0;
  let name: string | undefined;
  let start = 0;
  let previous = "";
  for (const { 0: token, index } of text.matchAll(tokens)) {
    if (depth === 1 && token === ":" && name === undefined) {
      name = JSON.parse(previous) as string;
      start = index + 1;
    }
    if (depth === 1 && (token === "," || token === "}") && name !== undefined) {
      members.push({ name, source: text.slice(start, index).trim() });
      name = undefined;
    }
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    previous = token;
  }
  return members;
}

const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
