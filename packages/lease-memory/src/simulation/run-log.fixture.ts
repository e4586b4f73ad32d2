import { createHash } from "node:crypto";
import type { Clock } from "@loden/lease";

const mostLines = 20_000;

/** What happened in a run: the last lines in full, everything as counts and as a fingerprint. */
export class RunLog {
  readonly #clock: Pick<Clock, "elapsed">;
  readonly #hash = createHash("sha256");
  readonly #counts = new Map<string, number>();
  #lines: string[] = [];

  /** @param clock - When. */
  constructor(clock: Pick<Clock, "elapsed">) {
    this.#clock = clock;
  }

  /** How often each thing happened. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Differs as soon as one line differs. */
  get fingerprint(): string {
    return this.#hash.copy().digest("hex");
  }

  /**
   * @param who - To whom.
   * @param what - Counted under this.
   * @param detail - Anything more.
   */
  note(who: string, what: string, detail = ""): void {
    const line = `${this.#clock.elapsed()} ms ${who} ${what} ${detail}`;
    this.#hash.update(line);
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
    this.#lines.push(line);
    if (this.#lines.length >= 2 * mostLines) this.#lines = this.#lines.slice(-mostLines);
  }

  /**
   * @param names - Whatever matters.
   * @returns The last lines that name any of it.
   */
  tail(names: readonly string[]): string[] {
    return this.#lines
      .filter((line) => names.some((name) => new RegExp(`${name}(?![0-9])`).test(line)))
      .slice(-60);
  }
}
