/** What kubelet's prober makes of one attempt. */
export interface ProbeResult {
  result: 'success' | 'failure';
  /** In kubelet's words; after `Readiness probe failed: ` in the event. With a success it is empty or a warning. */
  message: string;
}

export const success: ProbeResult = { result: 'success', message: '' };
export const failure = (message: string): ProbeResult => ({ result: 'failure', message });

export const hostPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

const goErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
  ECONNRESET: 'read: connection reset by peer',
  EADDRNOTAVAIL: 'connect: cannot assign requested address',
};

/** A failed connection as Go's net package tells it. */
export function dialError(error: NodeJS.ErrnoException, host: string, port: number): string {
  return `dial tcp ${hostPort(host, port)}: ${goErrors[error.code ?? ''] ?? error.message}`;
}
