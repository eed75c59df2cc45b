import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startDns } from '../../dns/index.ts';
import { askUdp } from '../../dns/testkit/client.ts';
import { answer, question } from '../../dns/testkit/message.ts';
import { TestUpstream } from '../../dns/testkit/upstream.ts';
import { monotonicMs } from '../../kernel/monotonic.ts';
import { FakeApi } from '../../kube/fake.ts';
import { NameListener } from './name-listener.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-resolved-'));
after(() => rmSync(folder, { recursive: true }));

async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    assert.ok(i < 2000, `not so after twenty seconds: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('CNP11: addresses of the names that policies want come from the DNS before the pod has them, over its replacement, and end with their time', async () => {
  let data = '192.0.2.1';
  await using upstream = await TestUpstream.listen((request, { name, type }) => answer(request, { answers: type === 'A' ? [{ name, type: 'A', ttl: 1, data }] : [] }));
  const socketPath = join(folder, 'health.sock');
  const config = { listen: ['127.0.0.1'], port: 0, podCidrs: [], serviceCidrs: [], healthSocket: socketPath, upstream: { servers: [upstream.server] } };
  const start = async () => {
    const dns = await startDns(config, { api: new FakeApi(), log: () => {} });
    return { dns, ask: (name: string) => askUdp(Number(/\d+$/.exec(dns.status().listen[0]!)![0]), question(name)) };
  };
  const told = new Map<string, string>();
  const clock = { aheadMs: 0 };
  let enforced = 0;
  using names = new NameListener({
    socketPath,
    now: () => monotonicMs() + clock.aheadMs,
    onChange: async (name, addresses) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      told.set(name, addresses.join(' '));
      enforced++;
    },
  });
  names.want(['*.example.com']);
  const first = await start();
  try {
    // Until it is heard of: it waits a while between two tries.
    for (let i = 0; !told.has('a.example.com'); i++) {
      assert.ok(i < 100);
      await first.ask('a.example.com');
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const { answers } = await first.ask('b.example.com');
    assert.deepEqual([answers.length, told.get('b.example.com')], [1, '192.0.2.1'], 'in force when the asker has it');
    const before = enforced;
    await first.ask('other.example.net');
    assert.equal(enforced, before);
  } finally {
    await first.dns.close();
  }
  // Another process answers: what was told before stays, and what it says comes beside it.
  data = '192.0.2.2';
  const second = await start();
  try {
    await until(() => {
      void second.ask('b.example.com').catch(() => {});
      return told.get('b.example.com') === '192.0.2.1 192.0.2.2';
    });
    assert.deepEqual([...names.resolved('b.example.com').keys()], ['192.0.2.1', '192.0.2.2']);
    clock.aheadMs = 200_000;
    await until(() => told.get('a.example.com') === '' && told.get('b.example.com') === '');
    assert.equal(names.size, 0);
  } finally {
    await second.dns.close();
  }
  names.want([]);
});
