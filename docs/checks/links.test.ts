import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./repository/root.ts";
import { listFiles, read } from "./repository/workspace.ts";

const pages = listFiles()
  .filter((file) => file.endsWith(".md") && !file.endsWith("CHANGELOG.md"))
  .map((page) => ({ page }));

test("there are pages", () => {
  expect(pages.length).toBeGreaterThan(0);
});

test.each(pages)("relative links and anchors in $page are alive", ({ page }) => {
  expect(linksOf(page).filter((link) => !isAlive(page, link))).toEqual([]);
});

// [text](target "title"), ![picture](target), [name]: target, <img src="target">; not inside code.
function linksOf(page: string): readonly string[] {
  const prose = read(page)
    .replace(/^ *(```+|~~~+)[\s\S]*?^ *\1/gm, "")
    .replace(/`[^`\n]*`/g, "code");
  const found = [
    ...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g),
    ...prose.matchAll(/^\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)/gm),
    ...prose.matchAll(/\b(?:src|href)="([^"]+)"/g),
  ];
  return found.flatMap((match) => match[1] ?? []).filter((link) => !/^[a-z][a-z+.-]*:/i.test(link));
}

function isAlive(page: string, link: string): boolean {
  const [path = "", anchor] = decodeURIComponent(link).split("#");
  const target = path === "" ? page : join(dirname(page), path);
  if (path.startsWith("/") || target.startsWith("..") || !existsSync(join(root, target))) return false;
  if (anchor === undefined) return true;
  const file = statSync(join(root, target)).isDirectory() ? join(target, "README.md") : target;
  if (!file.endsWith(".md")) return /^L\d+(?:-L\d+)?$/.test(anchor);
  return anchorsOf(file).has(anchor);
}

// The anchors that forges make of headings: lower case, punctuation dropped, spaces to hyphens, repeats numbered; and explicit ids.
function anchorsOf(page: string): ReadonlySet<string> {
  const text = read(page).replace(/^ *(```+|~~~+)[\s\S]*?^ *\1/gm, "");
  const anchors = new Set([...text.matchAll(/\b(?:id|name)="([^"]+)"/g)].flatMap((match) => match[1] ?? []));
  for (const [, heading = ""] of text.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = words.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
    let unique = slug;
    for (let repeat = 1; anchors.has(unique); repeat += 1) unique = `${slug}-${repeat}`;
    anchors.add(unique);
  }
  return anchors;
}
