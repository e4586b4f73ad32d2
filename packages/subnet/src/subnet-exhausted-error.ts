import type { FamilyNetwork } from "./network-config.ts";

/** Every subnet of a network is reserved: there is none to allocate. */
export class SubnetExhaustedError extends Error {
  override readonly name = "SubnetExhaustedError";
  /** Literal, for matching: `ERR_SUBNET_EXHAUSTED`. */
  readonly code = "ERR_SUBNET_EXHAUSTED";
  /** The family that has run out: its network and range. */
  readonly family: FamilyNetwork;

  /**
   * @param family - The family that has run out.
   */
  constructor(family: FamilyNetwork) {
    const { network, subnetLength, subnetMin, subnetMax } = family;
    super(
      `Cannot allocate subnet: every /${subnetLength} of ${network.toString()} from ${subnetMin.toString()} ` +
        `to ${subnetMax.toString()} is reserved, expected a free one`,
    );
    this.family = family;
  }
}
