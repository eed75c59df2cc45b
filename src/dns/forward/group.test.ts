import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { positive, TestForwarder, until } from '../testkit/forwarder.ts';
import { answer } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { rcode } from '../wire/constants.ts';
import { parseName } from '../wire/names.ts';
import { newForwardCounters } from './counters.ts';
import { Group, type GroupOptions } from './group.ts';
import { parseUpstreamOptions } from './options.ts';
import { parseResolvConf } from './resolv-conf.ts';
import { parseUpstream, upstreamText } from './target.ts';
import { TlsConnector } from './tls.ts';

function groupOf(options: Partial<GroupOptions>): Group {
  const surroundings = { counters: newForwardCounters(), underWay: new Set<() => void>() };
  return new Group({
    ...{
      servers: [],
      policy: 'ordered',
      own: new Set<string>(),
      maxFails: 2,
      now: () => 0,
      tls: new TlsConnector(undefined),
      surroundings,
    },
    ...options,
  });
}
const servers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const order = (group: Group): string =>
  group
    .candidates()
    .map(({ text }) => text.replace(/^192\.0\.2\.(\d):53$/, '$1'))
    .join('');

test('the order in which resolvers are asked: as configured, in turns, at random, or the fastest first', () => {
  assert.deepEqual([order(groupOf({ servers })), order(groupOf({ servers }))], ['123', '123']);
  const turns = groupOf({ servers, policy: 'roundRobin' });
  assert.deepEqual([order(turns), order(turns), order(turns), order(turns)], ['123', '231', '312', '123']);
  const random = groupOf({ servers, policy: 'random' });
  const seen = new Set(Array.from({ length: 200 }, () => order(random)[0]));
  assert.equal(seen.size, 3);
  const fastest = groupOf({ servers, policy: 'fastest' });
  const [one, two, three] = fastest.all;
  one!.srttMs = 30;
  two!.srttMs = 10;
  assert.equal(order(fastest), '321', 'one whose time is not known is asked first');
  three!.srttMs = 20;
  assert.equal(order(fastest), '231');
  for (let i = 0; i < 100; i++) fastest.candidates();
  assert.equal(order(fastest)[0] === '2', false, 'the others get another chance in time');
});

test('what is suspect or down comes behind what is up; all are known to be down only when none is left', () => {
  const group = groupOf({ servers });
  const [one, two, three] = group.all;
  one!.health.late();
  assert.equal(order(group), '231');
  one!.health.failed();
  one!.health.failed();
  two!.health.late();
  assert.equal(order(group), '321');
  assert.equal(group.allDown, false);
  for (const resolver of [two!, three!]) for (let i = 0; i < 2; i++) resolver.health.failed();
  assert.equal(group.allDown, true);
  two!.health.worked();
  assert.equal(group.allDown, false);
  assert.equal(order(group)[0], '2');
  group.close();
});

test('a resolver that is down is probed in the background and comes back by itself', async () => {
  let silent = true;
  await using upstream = await TestUpstream.listen((request, about) => (silent ? undefined : positive(request, about)));
  using forwarder = new TestForwarder({ servers: [upstream.server], timeoutMs: 60, deadlineMs: 1000, maxFails: 1 });
  assert.equal(await forwarder.said(), '2 0');
  const state = () => forwarder.describe()[0]!.state;
  await until(() => state() === 'down');
  assert.ok(forwarder.describe()[0]!.counters.probesFailed > 0);
  silent = false;
  await until(() => state() === 'up');
  forwarder.clock.aheadMs += 5000;
  assert.equal(await forwarder.said(), '0 1');
});

test('a question that takes long does not make a resolver that lives look dead', async () => {
  await using upstream = await TestUpstream.listen((request, about) =>
    about.type === 'A' ? undefined : positive(request, about),
  );
  using forwarder = new TestForwarder({ servers: [upstream.server], timeoutMs: 60, deadlineMs: 1000, maxFails: 1 });
  for (let i = 0; i < 3; i++) {
    assert.equal(await forwarder.said(), '2 0');
    forwarder.clock.aheadMs += 5000;
  }
  await until(() => forwarder.describe()[0]!.state === 'up');
  assert.equal(forwarder.describe()[0]!.counters.probesFailed, 0);
});

test('names of a domain go to its own resolvers, the longest domain that fits; also reverse names of a range; without resolvers they are refused', async () => {
  const listen = () =>
    TestUpstream.listen((request, about) =>
      about.type === 'PTR' ? answer(request, { rcode: rcode.NXDOMAIN }) : positive(request, about),
    );
  await using others = await listen();
  await using corp = await listen();
  await using lab = await listen();
  using forwarder = new TestForwarder({
    servers: [others.server],
    domains: {
      'corp.example.': { servers: [corp.server] },
      'Lab.Corp.Example': { servers: [lab.server] },
      '172.16.0.0/15': { servers: [corp.server] },
      'fd12::/16': { servers: [corp.server] },
      'secret.example': { servers: [] },
    },
  });
  const goes = async (name: string, type = 1): Promise<string[]> => {
    await forwarder.ask({ name: parseName(name), type });
    return [others, corp, lab].map((upstream) => upstream.take().length).map(String);
  };
  assert.deepEqual(await goes('www.example'), ['1', '0', '0']);
  assert.deepEqual(await goes('notcorp.example'), ['1', '0', '0']);
  assert.deepEqual(await goes('corp.example'), ['0', '1', '0']);
  assert.deepEqual(await goes('a.CORP.example'), ['0', '1', '0']);
  assert.deepEqual(await goes('a.b.lab.corp.example'), ['0', '0', '1']);
  assert.deepEqual(await goes('1.0.17.172.in-addr.arpa', 12), ['0', '1', '0']);
  assert.deepEqual(await goes('1.0.18.172.in-addr.arpa', 12), ['1', '0', '0']);
  assert.deepEqual(await goes('1.2.1.d.f.ip6.arpa', 12), ['0', '1', '0']);
  assert.deepEqual(await goes('a.secret.example'), ['0', '0', '0']);
  assert.equal(await forwarder.said({ name: parseName('b.secret.example'), type: 1 }), `${rcode.REFUSED} 0`);
});

test('R8: the nameserver lines of resolv.conf count; it is read again when it changes, and kept when it is gone', () => {
  const lines =
    '# comment\nsearch example.com\nnameserver 192.0.2.53\n nameserver 192.0.2.54\nnameserver fd00::53 # b\nnameserver nonsense\n';
  assert.deepEqual(parseResolvConf(lines).map(upstreamText), ['192.0.2.53:53', '[fd00::53]:53']);
  const path = `/tmp/podnet-test-dns-${process.pid}-resolv.conf`;
  let clock = 0;
  try {
    writeFileSync(path, 'nameserver 192.0.2.1\n');
    const group = groupOf({ servers: ['192.0.2.9'], resolvConf: path, now: () => clock });
    const texts = (): string[] => group.all.map(({ text }) => text);
    assert.deepEqual(texts(), ['192.0.2.9:53', '192.0.2.1:53']);
    const [first] = group.all;
    rmSync(path);
    clock += 10_000;
    assert.deepEqual(texts(), ['192.0.2.9:53', '192.0.2.1:53']);
    assert.match(group.fault ?? '', /cannot read/);
    // Put in its place in one step, as those who manage it do.
    writeFileSync(`${path}.new`, 'nameserver 192.0.2.2\nnameserver 192.0.2.9\n');
    renameSync(`${path}.new`, path);
    clock += 10_000;
    assert.deepEqual(texts(), ['192.0.2.9:53', '192.0.2.2:53']);
    assert.equal(group.all[0], first, 'what is known of one that stays is kept');
    assert.equal(group.fault, undefined);
  } finally {
    rmSync(path, { force: true });
    rmSync(`${path}.new`, { force: true });
  }
});

test('resolvers are written as addresses, with a port or without, and with a scheme', () => {
  const texts = [
    '1.2.3.4',
    '1.2.3.4:5353',
    'fd00::1',
    '[fd00::1]:5353',
    '[fd00::1]',
    'tcp://1.2.3.4',
    'tls://1.2.3.4',
    'tls://[fd00::1]:8853#dns.example',
    'tls://fd00::1#a',
  ];
  assert.deepEqual(
    texts.map((text) => upstreamText(parseUpstream(text))),
    [
      ...[
        '1.2.3.4:53',
        '1.2.3.4:5353',
        '[fd00::1]:53',
        '[fd00::1]:5353',
        '[fd00::1]:53',
        'tcp://1.2.3.4:53',
        'tls://1.2.3.4:853',
      ],
      ...['tls://[fd00::1]:8853#dns.example', 'tls://[fd00::1]:853#a'],
    ],
  );
  for (const wrong of [
    '',
    'dns.example',
    '1.2.3.4:0',
    '1.2.3.4:70000',
    '1.2.3.4:x',
    '[fd00::1',
    'https://1.2.3.4',
    '1.2.3.4#dns.example',
    'tls://1.2.3.4#',
  ])
    assert.throws(() => parseUpstream(wrong), SyntaxError, wrong);
});

test('a wrong configuration of forwarding is refused with the field, the value seen and what is expected', () => {
  const wrong: [object, RegExp][] = [
    [{ server: '1.2.3.4' }, /^unknown field "upstream.server"; known are servers/],
    [{ servers: '1.2.3.4' }, /^upstream.servers must be a list of resolvers, not "1.2.3.4"/],
    [{ servers: ['dns.example'] }, /^upstream.servers: .*dns\.example/],
    [{ policy: 'sequential' }, /^upstream.policy must be one of ordered, random, roundRobin, fastest, not "sequential"/],
    [{ timeoutMs: 5 }, /^upstream.timeoutMs must be a whole number from 50 to 60000, not 5/],
    [{ mostUnderWay: '9' }, /^upstream.mostUnderWay must be .*not "9"/],
    [{ cache: { size: 1 } }, /^unknown field "upstream.cache.size"; known are bytes/],
    [{ cache: { staleSeconds: -1 } }, /^upstream.cache.staleSeconds must be .*not -1/],
    [
      { domains: { 'corp.example': { server: [] } } },
      /^unknown field "upstream.domains\["corp.example"\].server"; known are servers, policy/,
    ],
    [{ domains: { 'corp.example': { servers: ['x'] } } }, /^upstream.domains\["corp.example"\].servers: "x" is not an IP/],
    [{ domains: { '.': { servers: [] } } }, /^upstream.domains\["."\]: the root/],
    [{ domains: { 'a..b': { servers: [] } } }, /^upstream.domains\["a..b"\]: /],
    [{ domains: { '10.0.0.0/33': { servers: [] } } }, /^upstream.domains\["10.0.0.0\/33"\]: /],
    [{ denyAddresses: ['10.0.0.1/99'] }, /^upstream.denyAddresses: /],
    [{ tlsCa: 5 }, /^upstream.tlsCa must be a path, not 5/],
  ];
  for (const [input, message] of wrong) assert.throws(() => parseUpstreamOptions(input), { name: 'SyntaxError', message });
  assert.equal(parseUpstreamOptions({ servers: ['1.2.3.4'] }).maxFails, 2);
  assert.deepEqual(groupOf({ servers: ['192.0.2.1', '192.0.2.1:53'] }).all.length, 1);
});
