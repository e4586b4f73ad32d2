/** No member of the cluster did what was asked: none answered, or each said that it cannot now. Asking again may help. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
  /** For callers to match. */
  readonly code = "ERR_STORE_UNAVAILABLE";

  /**
   * @param operation - what was to be done, such as "list leases"
   * @param failures - what each member said last, by endpoint
   */
  constructor(operation: string, failures: ReadonlyMap<string, EtcdStatusError>) {
    const said = [...failures].map(([endpoint, { details }]) => `${endpoint}: ${details}`).join("; ");
    super(`Cannot ${operation}: every etcd member failed (${said}), expected one that serves it`, {
      cause: [...failures.values()].at(-1),
    });
  }
}

/** etcd refuses the user: wrong name or password, no certificate, or no permission for the keys. */
export class StoreDeniedError extends Error {
  override readonly name = "StoreDeniedError";
  /** For callers to match. */
  readonly code = "ERR_STORE_DENIED";

  /**
   * @param operation - what was to be done, such as "list leases"
   * @param cause - what etcd said
   */
  constructor(operation: string, cause: EtcdStatusError) {
    super(
      `Cannot ${operation}: etcd refuses with "${cause.details}", expected a user who may read and write the prefix`,
      { cause },
    );
  }
}

/** The network has no configuration in etcd yet: somebody has to write the `config` key. Waiting may help. */
export class NetworkConfigMissingError extends Error {
  override readonly name = "NetworkConfigMissingError";
  /** For callers to match. */
  readonly code = "ERR_NETWORK_CONFIG_MISSING";
  /** Where it is expected. */
  readonly key: string;

  /** @param key - where it is expected */
  constructor(key: string) {
    super(
      `Cannot read the network: etcd has no key ${key}, expected one that holds the network configuration as JSON`,
    );
    this.key = key;
  }
}

/** The gRPC status of a call that failed: etcd refused the request, or a connection broke. */
export class EtcdStatusError extends Error {
  override readonly name = "EtcdStatusError";
  /** For callers to match. */
  readonly code = "ERR_STORE_REQUEST";
  /** Number of the gRPC status, as in `GrpcStatus`. */
  readonly status: number;
  /** What the server or the connection said. */
  readonly details: string;

  /**
   * @param status - number of the gRPC status
   * @param details - what the server or the connection said
   */
  constructor(status: number, details: string) {
    super(`Cannot complete etcd call: status ${status}, "${details}", expected an answer`);
    this.status = status;
    this.details = details;
  }
}

/** The gRPC statuses that are told apart here. */
export const GrpcStatus = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

const transient: ReadonlySet<number> = new Set([
  GrpcStatus.cancelled,
  GrpcStatus.unknown,
  GrpcStatus.deadlineExceeded,
  GrpcStatus.resourceExhausted,
  GrpcStatus.aborted,
  GrpcStatus.internal,
  GrpcStatus.unavailable,
  GrpcStatus.dataLoss,
]);

/**
 * @param error - from a call
 * @returns whether another member or another time may do better
 */
export function isTransient({ status }: EtcdStatusError): boolean {
  return transient.has(status);
}

/**
 * @param error - from a call
 * @returns whether a fresh token may do better: the old one expired, or its member restarted
 */
export function isStaleToken({ status, details }: EtcdStatusError): boolean {
  return (
    status === GrpcStatus.unauthenticated ||
    (status === GrpcStatus.invalidArgument && details.includes("revision of auth store is old"))
  );
}

/**
 * @param error - from a call
 * @returns whether etcd refuses the user
 */
export function isDenied({ status, details }: EtcdStatusError): boolean {
  return (
    status === GrpcStatus.unauthenticated ||
    status === GrpcStatus.permissionDenied ||
    (status === GrpcStatus.invalidArgument && /user name is empty|authentication failed/.test(details))
  );
}
