/** The running kernel, or this platform, lacks something that was asked for. */
export class NotSupportedError extends Error {
  override readonly name = "NotSupportedError";
  /** For matching: always `ERR_NOT_SUPPORTED`. */
  readonly code = "ERR_NOT_SUPPORTED";
  /** What is missing, e.g. `UDP_SEGMENT`. */
  readonly feature: string;
  /** The first kernel that has it, e.g. `4.18`, where that is known. */
  readonly leastKernel: string | undefined;

  /**
   * @param feature what is missing.
   * @param leastKernel the first kernel that has it.
   * @param options the `cause`, as for every Error.
   */
  constructor(feature: string, leastKernel?: string, options?: ErrorOptions) {
    const wanted = leastKernel === undefined ? "a Linux that has it" : `Linux ${leastKernel} or newer`;
    super(
      `Cannot use ${feature}: it is not available on ${process.platform} ${process.arch} here, expected ${wanted}`,
      options,
    );
    this.feature = feature;
    this.leastKernel = leastKernel;
  }
}
