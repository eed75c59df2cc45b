import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newMetrics } from '../metrics.ts';
import { Pipeline, stagesOf } from '../pipeline.ts';
import { SearchLists } from '../search/search-lists.ts';
import { namespace, pod, service, TestCluster } from '../testkit/cluster.ts';
import { question, type QuestionOptions, type Read, read } from '../testkit/message.ts';
import { ClientAddress } from '../wire/client.ts';
import { ZoneAnswerer } from '../zone/answer.ts';
import { Custom } from './custom.ts';
import { safePattern } from './pattern.ts';

function served(entries: unknown, files: Record<string, string> = {}) {
  const cluster = new TestCluster(namespace('prod'), service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1', 'fd00:10:96::1'] }, 'prod'), pod('10.244.1.7', 'prod'));
  cluster.set(service('ext', { type: 'ExternalName', externalName: 'db.internal' }, 'prod'));
  const lines: string[] = [];
  const custom = new Custom('a test', (line) => lines.push(line));
  const set = (to: unknown): boolean => custom.set(to, { read: (file) => files[file] ?? assert.fail(file) });
  const ok = set(entries);
  const { zones, ttl } = cluster.zone;
  const search = { cluster: cluster.zone, lists: new SearchLists({ zone: 'cluster.local', servers: ['10.96.0.10'] }) };
  const pipeline = new Pipeline(stagesOf({ zones, answerer: new ZoneAnswerer(zones, ttl), isSynced: () => true, custom, search }), newMetrics());
  const ask = (name: string, type: QuestionOptions['type'] = 'A'): Read => {
    const client = new ClientAddress();
    client.setText('10.244.1.7');
    const message = question(name, { type });
    const out = Buffer.alloc(4096);
    return read(out.subarray(0, pipeline.answer(message, 0, message.length, 'udp', out, 0, assert.fail, client)));
  };
  const short = (name: string, type?: QuestionOptions['type']): string[] => {
    const { rcode, answers } = ask(name, type);
    return [rcode, ...answers.map((text) => text.split(' ').slice(2).join(' ')).sort()];
  };
  return { ok, set, custom, ask, short, lines };
}

test('hosts give addresses of both families, names by address, NODATA for other types, and come before the cluster', () => {
  const { ok, ask, short } = served(
    {
      hosts: {
        ttl: 60,
        entries: [
          { address: '192.0.2.10', names: ['DB.example.com', 'db'] },
          { address: '192.0.2.11', names: ['db.example.com'] },
          { address: '2001:db8::10', names: ['db.example.com'] },
          { address: '192.0.2.99', names: ['web.prod.svc.cluster.local'] },
        ],
        files: ['hosts'],
      },
    },
    { hosts: '# a comment\n192.0.2.20 a.example b.example # more\n\nnonsense c.example\n::1 ip6.example\n192.0.2.21 bad..name fine.example\n' },
  );
  assert.ok(ok);
  assert.deepEqual(short('db.example.com'), ['NOERROR', 'A 192.0.2.10', 'A 192.0.2.11']);
  assert.deepEqual(new Set([1, 2].map(() => ask('db.example.com').answers[0])).size, 2, 'they take turns');
  assert.match(ask('db.EXAMPLE.com', 'AAAA').answers[0]!, /^db\.example\.com\. 60 AAAA 2001:db8::10$/i);
  assert.deepEqual(short('db.example.com', 'TXT'), ['NOERROR']);
  assert.deepEqual(short('10.2.0.192.in-addr.arpa', 'PTR'), ['NOERROR', 'PTR db.', 'PTR db.example.com.']);
  assert.deepEqual(short('web.prod.svc.cluster.local'), ['NOERROR', 'A 192.0.2.99']);
  assert.deepEqual(short('b.example'), ['NOERROR', 'A 192.0.2.20']);
  assert.deepEqual(short('fine.example'), ['NOERROR', 'A 192.0.2.21']);
  assert.deepEqual(short('other.example'), ['REFUSED'], 'goes on; nobody forwards here');
});

test('names below the zones of hosts have no others', () => {
  const { short } = served({ hosts: { zones: ['lab.example'], entries: [{ address: '192.0.2.1', names: ['a.lab.example'] }], reverse: false } });
  assert.deepEqual(short('a.lab.example'), ['NOERROR', 'A 192.0.2.1']);
  assert.deepEqual(short('b.lab.example'), ['NXDOMAIN']);
  assert.deepEqual(short('lab.example'), ['NOERROR']);
  assert.deepEqual(short('xlab.example'), ['REFUSED']);
  assert.deepEqual(short('1.2.0.192.in-addr.arpa', 'PTR'), ['REFUSED'], 'no way back');
});

test('rewrite rules match exactly, by prefix, suffix, part and pattern, and answers come back under the asked name', () => {
  const { ok, ask, short } = served({
    rewrite: [
      { match: 'exact', from: 'Old.example.com', to: 'web.prod.svc.cluster.local' },
      { match: 'suffix', from: '.prod.example.com', to: '.prod.svc.cluster.local' },
      { match: 'prefix', from: 'legacy-', to: '' },
      { match: 'substring', from: '.stage.', to: '.prod.' },
      { match: 'regex', from: '^(\\w+)-(\\w+)\\.example\\.net$', to: '{1}.{2}.svc.cluster.local' },
      { match: 'exact', from: 'first.example', to: 'second.example', continue: true },
      { match: 'exact', from: 'second.example', to: 'web.prod.svc.cluster.local' },
      { match: 'exact', from: 'out.example', to: 'ext.prod.svc.cluster.local', answer: [{ names: 'target', from: '(.*)\\.internal', to: '{1}.example.com' }] },
    ],
  });
  assert.ok(ok);
  for (const name of ['old.example.com', 'web.prod.example.com', 'legacy-web.prod.svc.cluster.local', 'web.stage.svc.cluster.local', 'web-prod.example.net', 'first.example']) {
    const { answers, name: asked, rcode } = ask(name);
    assert.deepEqual([asked, rcode, ...answers], [`${name}.`, 'NOERROR', `${name}. 5 A 10.96.1.1`]);
  }
  assert.deepEqual(short('old.example.com', 'AAAA'), ['NOERROR', 'AAAA fd00:10:96::1']);
  assert.deepEqual(short('no.prod.example.com'), ['NXDOMAIN']);
  assert.deepEqual(short('old.example.com', 'TXT'), ['NOERROR']);
  assert.deepEqual(short('out.example', 'CNAME'), ['NOERROR', 'CNAME db.example.com.']);
  assert.deepEqual(short('web.prod.svc.cluster.local'), ['NOERROR', 'A 10.96.1.1'], 'others stay');
});

test('a search path finds what is set by hand, too', () => {
  const { short } = served({
    hosts: { entries: [{ address: '192.0.2.10', names: ['db.example.com'] }] },
    rewrite: [{ match: 'exact', from: 'old.example.com', to: 'web.prod.svc.cluster.local' }],
  });
  assert.deepEqual(short('db.example.com.prod.svc.cluster.local'), ['NOERROR', 'A 192.0.2.10', 'CNAME db.example.com.']);
  assert.deepEqual(short('old.example.com.prod.svc.cluster.local'), ['NOERROR', 'A 10.96.1.1', 'CNAME old.example.com.']);
});

test('what is wrong is told with the field, and the former entries stay in force', () => {
  const { set, short, custom, lines } = served({ hosts: { entries: [{ address: '192.0.2.10', names: ['db.example.com'] }] } });
  const wrong: [unknown, RegExp][] = [
    [{ host: {} }, /unknown field "host"; known are hosts, rewrite/],
    [[], /the document must be a mapping/],
    [{ hosts: { entries: [{ address: '192.0.2', names: ['a'] }] } }, /hosts\.entries\[0\]\.address must be an IP address, not "192\.0\.2"/],
    [{ hosts: { entries: [{ address: '192.0.2.1', names: ['a..b'] }] } }, /hosts\.entries\[0\]\.names\[0\]/],
    [{ hosts: { ttl: -1 } }, /hosts\.ttl must be a whole number from 0 to 65535, not -1/],
    [{ rewrite: [{ match: 'glob', from: 'a', to: 'b' }] }, /rewrite\[0\]\.match must be one of exact, prefix/],
    [{ rewrite: [{ match: 'regex', from: '(', to: 'b' }] }, /rewrite\[0\] regex \( b: /],
    [{ rewrite: [{ match: 'regex', from: '(a+)+', to: 'b' }] }, /repeats something itself/],
    [{ rewrite: [{ match: 'exact', from: 'a..b', to: 'b' }] }, /a\.\.b/],
  ];
  for (const [entries, message] of wrong) {
    assert.equal(set(entries), false);
    assert.match(custom.status().error ?? '', message);
    assert.match(lines.at(-1)!, message);
    assert.deepEqual(short('db.example.com'), ['NOERROR', 'A 192.0.2.10']);
  }
  assert.ok(set({}));
  assert.deepEqual([custom.status().error, custom.status().hosts, short('db.example.com')], [undefined, 0, ['REFUSED']]);
});

test('T32: patterns that a name could take for ever to match are refused, others are not', () => {
  for (const source of ['(a+)+$', '(a*)*', '(a|aa)+$', '((a+)b)*', '(.*a){20}x(.*)*', 'a*b*c*d*e*', '(?=a)b', '(a)\\1', 'x'.repeat(201)])
    assert.throws(() => safePattern(source), SyntaxError, source);
  for (const source of ['(.*)-(us-west-1)\\.example\\.org', '^foo\\.(bar|baz)\\.$', '[a-z+*]+', '(?:a|b)c+', '\\(a\\+\\)+', '(ab)?c', 'a{2,5}'])
    assert.ok(safePattern(source) instanceof RegExp, source);
});

test('a machine that gives no turn for a while changes no name', (t) => {
  const { short } = served({ rewrite: [{ match: 'regex', from: '^(\\w+)-(\\w+)\\.example\\.net$', to: '{1}.{2}.svc.cluster.local' }] });
  let now = 0;
  t.mock.method(performance, 'now', () => (now += 1000));
  for (let i = 0; i < 3; i++) assert.deepEqual(short('web-prod.example.net'), ['NOERROR', 'A 10.96.1.1']);
});
