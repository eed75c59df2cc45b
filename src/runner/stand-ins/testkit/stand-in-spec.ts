import type { ContainerSpec } from '../../container.ts';
import type { LineLog } from '../log.ts';

export function specOf(changes: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id: '0'.repeat(64),
    pod: { namespace: 'shop', name: 'cart-1', uid: 'u1' },
    name: 'server',
    nodeName: 'node-1',
    init: false,
    image: 'example/cart:v1',
    env: {},
    stdin: false,
    stdinOnce: false,
    tty: false,
    netns: '/proc/self/ns/net',
    hostNetwork: false,
    hostname: 'cart-1',
    podIPs: ['127.0.0.1', '::1'],
    mounts: [],
    ports: [],
    probes: [],
    dir: '/nonexistent',
    logPath: '/nonexistent/log',
    ...changes,
  };
}

export class MemoryLog implements LineLog {
  readonly lines: string[] = [];

  write(_stream: string, line: string): void {
    this.lines.push(line);
  }

  close(): void {}
}
