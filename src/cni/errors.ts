/** Error codes of the CNI specification 1.1.0 (CNI2); from 100 on they are podnet's own. */
export const cniCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  /** ADD cannot be served and pods that run may have lost connections too. */
  notAvailableLimited: 51,
  /** The container has an interface of this name already (CNI5). */
  interfaceExists: 100,
  /** No address is left. */
  exhausted: 101,
  /** CHECK found the attachment damaged. */
  damaged: 102,
  internal: 199,
} as const;

/** What a CNI call failed with; becomes the error JSON on stdout. */
export class CniError extends Error {
  readonly code: number;
  /** What to do about it, or where to look. */
  readonly details: string | undefined;

  constructor(code: number, message: string, details?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CniError';
    this.code = code;
    this.details = details;
  }

  /** Anything thrown, as an error that a runtime can show. */
  static from(error: unknown): CniError {
    if (error instanceof CniError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new CniError(cniCode.internal, message, "see the log of 'podnet agent'", { cause: error });
  }
}
