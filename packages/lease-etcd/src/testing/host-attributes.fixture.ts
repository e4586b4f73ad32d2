import { type LeaseAttributes, parseLeaseValue } from "@loden/lease";

/**
 * What a host publishes as a flannel host with the vxlan backend does, whose values are the longest that are usual.
 *
 * @param host - which one, from 0 to 65,535; its address is its own
 * @returns the attributes
 */
export function hostAttributes(host: number): LeaseAttributes {
  const address = `172.16.${host >> 8}.${host & 0xff}`;
  const data = `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}`;
  return parseLeaseValue(
    `{"PublicIP":"${address}","PublicIPv6":null,"BackendType":"vxlan","BackendData":${data}}`,
  );
}
