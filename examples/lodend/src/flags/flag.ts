/** One flag of `lodend`. */
export interface Flag {
  /** Without dashes. */
  readonly name: string;
  /**
   * `text`; `texts` may be given several times; `boolean` as in Go (`--flag` or `--flag=false`); `integer`; `duration` such as `90s`, `5m` or
   * `24h`, in milliseconds.
   */
  readonly kind: "text" | "texts" | "boolean" | "integer" | "duration";
  /** The value where it is not given; of a duration, its text. */
  readonly fallback: FlagValue;
  /** Who has it: flannel under this name, or Loden alone. */
  readonly origin: "flannel" | "Loden";
  /** `accepted` does what it says; `refused` is an error where it would change anything; `ignored` changes nothing. */
  readonly stance: "accepted" | "refused" | "ignored";
  /** What it is for; where it is refused or ignored, why. */
  readonly about: string;
  /** Whether its value is never shown. */
  readonly isSecret?: true;
  /** Of an integer: the least and the most. */
  readonly range?: readonly [least: number, most: number];
  /** Of a text: the only values. */
  readonly choices?: readonly string[];
}

/** A flag's value: text, list, on or off, a number, or a duration in milliseconds. */
export type FlagValue = string | readonly string[] | boolean | number;
