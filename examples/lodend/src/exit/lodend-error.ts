import type { ExitCode } from "./exit-codes.ts";

/** A reason to end that was foreseen: its message says what to do, its code is documented. */
export class LodendError extends Error {
  override readonly name = "LodendError";
  /** The code to exit with. */
  readonly exitCode: ExitCode;

  /**
   * @param exitCode the code to exit with.
   * @param message what is so, and what to do.
   * @param options `cause`.
   */
  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
