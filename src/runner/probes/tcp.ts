import { connect } from 'node:net';
import { dialError, failure, type ProbeResult, success } from './result.ts';

/** Connects and closes: pkg/probe/tcp of kubelet. */
export function probeTcp(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (result: ProbeResult): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => done(failure(dialError({ name: '', message: '', code: 'ETIMEDOUT' }, host, port))), timeoutMs);
    socket.once('connect', () => done(success));
    socket.on('error', (error) => done(failure(dialError(error, host, port))));
  });
}
