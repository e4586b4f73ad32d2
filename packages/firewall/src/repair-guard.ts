/** Notifications come in bursts: look once for all of them. */
const SETTLE_MS = 20;
/** Of the time, at most one part in so many goes into looking while others change the ruleset all the time. */
const SHARE = 10;
/** But however long a look takes, the next one comes within this. */
const SLOWEST_LOOK_MS = 500;
/** Somebody who undoes each repair is answered ever more slowly, down to this rhythm. */
const SLOWEST_MS = 5_000;
/** Repairs in a row before that begins. */
const PATIENCE = 10;

/** Decides when to look whether the ruleset is still right. */
export class RepairGuard {
  readonly #look: () => Promise<"right" | "repaired" | "failed">;
  #timer: NodeJS.Timeout | undefined;
  #tookMs = 0;
  #lastRepair = -Infinity;
  #repairsInRow = 0;
  #closed = false;

  /** @param look Looks, and repairs what is not right; one at a time. */
  constructor(look: () => Promise<"right" | "repaired" | "failed">) {
    this.#look = look;
  }

  /** Takes notice that somebody changed something. */
  notice(): void {
    if (this.#timer !== undefined || this.#closed) return;
    const settleMs = Math.max(SETTLE_MS, Math.min(this.#tookMs * SHARE, SLOWEST_LOOK_MS));
    const excess = Math.max(0, this.#repairsInRow - PATIENCE);
    this.#timer = setTimeout(() => void this.#turn(), Math.min(settleMs * 2 ** excess, SLOWEST_MS));
  }

  /** Again does nothing. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #turn(): Promise<void> {
    this.#timer = undefined;
    const start = performance.now();
    const outcome = await this.#look();
    const end = performance.now();
    this.#tookMs = end - start;
    if (outcome === "right") return;
    this.#repairsInRow = end - this.#lastRepair < 2 * SLOWEST_MS ? this.#repairsInRow + 1 : 0;
    this.#lastRepair = end;
    if (outcome === "failed") this.notice();
  }
}
