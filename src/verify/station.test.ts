import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { IpAddr } from '../net/ip.ts';
import { needsRoot } from '../testing/root.ts';
import { Station } from './station.ts';

test('a station that ends leaves no connection open, also of an asker that never hangs up', needsRoot, async () => {
  using ns = NetNs.current();
  const station = new Station(ns, IpAddr.parse('127.0.0.1'));
  const asker = net.connect({ host: '127.0.0.1', port: station.tcpPort, allowHalfOpen: true });
  asker.resume();
  await once(asker, 'end');
  const closed = once(asker, 'error') as Promise<[NodeJS.ErrnoException]>;
  station[Symbol.dispose]();
  const beat = setInterval(() => asker.write('still here'), 5);
  try {
    const [{ code }] = await closed;
    assert.match(code ?? '', /^(ECONNRESET|EPIPE)$/);
  } finally {
    clearInterval(beat);
    asker.destroy();
  }
});
