/** A try that failed; `reason` is a short name for counters. */
export class ExchangeError extends Error {
  readonly reason: string;

  /** @param server as text */
  constructor(server: string, reason: string, options?: ErrorOptions) {
    super(`resolver ${server}: ${reason}`, options);
    this.name = 'ExchangeError';
    this.reason = reason;
  }
}

export const reasonOf = (error: unknown): string => {
  const { code, errno, message } = error as NodeJS.ErrnoException & { errno?: unknown };
  return code ?? (typeof errno === 'string' ? errno : message);
};
