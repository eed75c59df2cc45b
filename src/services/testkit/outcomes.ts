/** How a connection fails: at once, by a TCP reset or ICMP port unreachable (REJECT) ... */
export const refused = (error: NodeJS.ErrnoException & { errno?: string }): boolean =>
  error.code === 'ECONNREFUSED' || String(error.errno) === 'ECONNREFUSED';

/** ... or by silence (DROP). */
export const unanswered = (error: NodeJS.ErrnoException & { errno?: string }): boolean =>
  error.name === 'AbortError' || String(error.errno) === 'ETIMEDOUT';
