import type { Duplex } from 'node:stream';
import { NetNs } from '../../kernel/netns.ts';
import { connectTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { StreamError } from '../streams/backend.ts';

const timeoutMs = 10_000;

/** A connection to a TCP port on the loopback of a pod's namespace: IPv4 first, as kubelet does. @throws StreamError 500 */
export async function connectInPod(netns: string, port: number): Promise<Duplex> {
  using ns = NetNs.open(netns);
  const options = { timeoutMs, allowHalfOpen: true };
  try {
    return await connectTcp(ns, IpAddr.parse('127.0.0.1'), port, options);
  } catch (first) {
    try {
      return await connectTcp(ns, IpAddr.parse('::1'), port, options);
    } catch (error) {
      const reason = `${(first as Error).message}; ${(error as Error).message}`;
      throw new StreamError(500, `failed to connect to localhost:${port} inside the pod's namespace: ${reason}`, {
        cause: error,
      });
    }
  }
}
