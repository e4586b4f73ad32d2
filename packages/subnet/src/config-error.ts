/** A network config says something that cannot be followed: a wrong type, a wrong value, or values that contradict. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** Literal, for matching: `ERR_NETWORK_CONFIG`. */
  readonly code = "ERR_NETWORK_CONFIG";
  /** The key at fault as flannel documents it, such as `SubnetLen` or `Backend.Port`; empty for the text as a whole. */
  readonly key: string;

  /**
   * @param key - The key at fault, empty for the text as a whole.
   * @param problem - What is so and what was expected, without a final period.
   * @param options - The cause, if any.
   */
  constructor(key: string, problem: string, options?: ErrorOptions) {
    super(`Cannot parse network config: ${key === "" ? "the text" : key} ${problem}`, options);
    this.key = key;
  }
}
