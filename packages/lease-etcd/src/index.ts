/**
 * A lease store over etcd.
 *
 * @module
 */
export {};
