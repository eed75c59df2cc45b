import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Forwarder } from './forward/forwarder.ts';
import { newMetrics } from './metrics.ts';
import { Pipeline, stagesOf } from './pipeline.ts';
import type { Stage } from './stages/stage.ts';
import { service, slice, TestCluster } from './testkit/cluster.ts';
import { answer, question, type QuestionOptions, type Read, read } from './testkit/message.ts';
import { TestUpstream } from './testkit/upstream.ts';
import { ZoneAnswerer } from './zone/answer.ts';

const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] });
const outside = service('out', { type: 'ExternalName', externalName: 'www.example.com' });

/** Answers of a pipeline, whether at once or later. */
function asker(pipeline: Pipeline): (name: string, options?: QuestionOptions) => Promise<Read> {
  return (name, options = {}) =>
    new Promise((resolve) => {
      const message = question(name, options);
      const out = Buffer.alloc(65535);
      const length = pipeline.answer(message, 0, message.length, 'udp', out, 0, () => (later) => resolve(read(later)));
      if (length > 0) resolve(read(out.subarray(0, length)));
    });
}

function forwarding(cluster: TestCluster, servers: string[]) {
  const metrics = newMetrics();
  const now = (): number => performance.now();
  const forwarder = new Forwarder({ upstream: { servers }, metrics, now });
  const { zones, ttl } = cluster.zone;
  const parts = { zones, answerer: new ZoneAnswerer(zones, ttl), isSynced: () => cluster.synced, forwarder };
  return { metrics, ask: asker(new Pipeline(stagesOf(parts), metrics, { recursionAvailable: true })) };
}

test('T32: no cluster name and no reverse name of the cluster ever goes to a resolver; others do, and are kept', async () => {
  await using upstream = await TestUpstream.listen((request, { name, type }) =>
    answer(request, type === 'A' ? { answers: [{ name, type, data: '192.0.2.1' }] } : { rcode: 3 }),
  );
  const { ask, metrics } = forwarding(new TestCluster(web), [upstream.server]);
  for (const [name, type] of [['web.default.svc.cluster.local', 'AAAA'], ['no.default.svc.cluster.local', 'A'],
    ['www.example.com.default.svc.cluster.local', 'A'], ['9.9.244.10.in-addr.arpa', 'PTR']] as const) {
    const { flags } = await ask(name, { type });
    assert.ok(flags.includes('AA'), name);
  }
  assert.deepEqual(upstream.asked, []);
  for (let i = 0; i < 2; i++) {
    const { name, answers, flags } = await ask('Www.Example.com');
    assert.equal(name, 'Www.Example.com.', 'as it was asked');
    assert.match(answers[0] ?? '', /^www\.example\.com\. \d+ A 192\.0\.2\.1$/);
    assert.ok(flags.includes('RA') && !flags.includes('AA'), 'D18');
  }
  assert.equal((await ask('1.2.0.192.in-addr.arpa', { type: 'PTR' })).rcode, 'NXDOMAIN', 'D20');
  assert.deepEqual(upstream.asked.map(({ name, type }) => `${name} ${type}`), ['www.example.com. A', '1.2.0.192.in-addr.arpa. PTR']);
  assert.equal(metrics.cacheHits, 1);
});

test('D9, T30: an alias to an outside name comes with its addresses; what a resolver says of cluster names is not believed', async () => {
  await using upstream = await TestUpstream.listen((request, { name }) =>
    answer(request, {
      answers: [
        { name, type: 'CNAME', data: 'web.default.svc.cluster.local' },
        { name: 'web.default.svc.cluster.local', type: 'A', data: '203.0.113.66' },
      ],
    }),
  );
  const { ask } = forwarding(new TestCluster(web, outside), [upstream.server]);
  const { answers } = await ask('out.default.svc.cluster.local');
  assert.deepEqual(
    answers.map((text) => text.split(' ').slice(2).join(' ')),
    ['CNAME www.example.com.', 'CNAME web.default.svc.cluster.local.', 'A 10.96.1.1'],
  );
});

test('D16: before all is known, cluster names are SERVFAIL and others are forwarded', async () => {
  await using upstream = await TestUpstream.listen((request, { name }) =>
    answer(request, { answers: [{ name, type: 'A', data: '192.0.2.1' }] }),
  );
  const cluster = new TestCluster();
  cluster.synced = false;
  const { ask } = forwarding(cluster, [upstream.server]);
  assert.equal((await ask('web.default.svc.cluster.local')).rcode, 'SERVFAIL');
  assert.equal((await ask('1.1.96.10.in-addr.arpa', { type: 'PTR' })).rcode, 'SERVFAIL');
  assert.equal((await ask('www.example.com')).rcode, 'NOERROR');
});

test('T31: ANY, transfers and questions without RD for foreign names are refused', async () => {
  const { ask } = forwarding(new TestCluster(web), []);
  assert.equal((await ask('example.com', { type: 'ANY' })).rcode, 'REFUSED');
  assert.equal((await ask('example.com', { flags: 0 })).rcode, 'REFUSED');
  assert.equal((await ask('cluster.local', { type: 'AXFR' })).rcode, 'REFUSED', 'D17');
});

test('without any resolver that answers, a foreign name is SERVFAIL; without resolvers at all it is REFUSED', async () => {
  assert.equal((await forwarding(new TestCluster(), []).ask('example.com')).rcode, 'SERVFAIL');
  assert.equal(new TestCluster().ask('example.com').rcode, 'REFUSED');
});

test('T32: a fault in a stage is answered with SERVFAIL, now or later, and counted', async () => {
  const metrics = newMetrics();
  const log = console.error;
  console.error = () => {};
  try {
    const fail = (): never => {
      throw new Error('a fault for a test');
    };
    const now: Stage = { name: 'now', answer: fail };
    const later: Stage = { name: 'later', answer: () => 'later', resolve: async () => fail() };
    assert.equal((await asker(new Pipeline([now], metrics))('example.com')).rcode, 'SERVFAIL');
    assert.equal((await asker(new Pipeline([later], metrics))('example.com')).rcode, 'SERVFAIL');
  } finally {
    console.error = log;
  }
  assert.equal(metrics.faults, 2);
  assert.deepEqual(metrics.responses, { SERVFAIL: 2 });
});

test('D21: addresses of a headless Service take turns', () => {
  const cluster = new TestCluster(service('db', { clusterIP: 'None' }), slice('db', [{ ip: '10.244.1.1' }, { ip: '10.244.1.2' }]));
  const first = new Set([1, 2].map(() => cluster.ask('db.default.svc.cluster.local').answers[0]));
  assert.equal(first.size, 2);
});
