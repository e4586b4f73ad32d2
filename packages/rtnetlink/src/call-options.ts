/** Options that every request takes. */
export interface CallOptions {
  /** Ends the call between two batches and rejects with `signal.reason`; what was sent stays done. */
  readonly signal?: AbortSignal | undefined;
}
