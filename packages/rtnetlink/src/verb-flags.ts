import { MessageFlag } from "@loden/netlink";

/** What a change does: `add` fails where there is one already (EEXIST), `replace` does not, `append` adds beside it. */
export type Verb = "add" | "append" | "replace" | "delete";

/** Flags of the request for a verb, as `ip` and `bridge` set them. */
export const verbFlags: Readonly<Record<Verb, number>> = {
  add: MessageFlag.create | MessageFlag.exclusive,
  append: MessageFlag.create | MessageFlag.append,
  replace: MessageFlag.create | MessageFlag.replace,
  delete: 0,
};
