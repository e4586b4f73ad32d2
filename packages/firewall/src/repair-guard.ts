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
  #isLooking = false;
  /** Something changed while it looked. */
  #noticed = false;
  /** Before it no look is taken. */
  #earliest = 0;
  #lastRepair = -Infinity;
  #repairsInRow = 0;
  #closed = false;

  /** @param look Looks, and repairs what is not right. */
  constructor(look: () => Promise<"right" | "repaired" | "failed">) {
    this.#look = look;
  }

  /** Takes notice that somebody changed something. */
  notice(): void {
    this.#noticed = true;
    if (this.#timer !== undefined || this.#isLooking || this.#closed) return;
    const settleMs = Math.max(SETTLE_MS, this.#earliest - performance.now());
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
    this.#isLooking = true;
    this.#noticed = false;
    const start = performance.now();
    const outcome = await this.#look();
    const end = performance.now();
    this.#isLooking = false;
    this.#earliest = end + Math.min((end - start) * SHARE, SLOWEST_LOOK_MS);
    if (outcome !== "right") {
      this.#repairsInRow = end - this.#lastRepair < 2 * SLOWEST_MS ? this.#repairsInRow + 1 : 0;
      this.#lastRepair = end;
    }
    if (outcome === "failed" || this.#noticed) this.notice();
  }
}
