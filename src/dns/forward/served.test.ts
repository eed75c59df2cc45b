import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { FakeApi } from '../../kube/fake.ts';
import { Namespaces, Services } from '../../kube/resources.ts';
import { freePort } from '../../testing/free-port.ts';
import { type DnsServer, startDns } from '../index.ts';
import { askRaw, askUdp } from '../testkit/client.ts';
import { namespace, service } from '../testkit/cluster.ts';
import { positive, until } from '../testkit/forwarder.ts';
import { answer, question, read } from '../testkit/message.ts';
import { type Asked, TestUpstream } from '../testkit/upstream.ts';
import { parseMessage } from '../wire/message.ts';
import type { UpstreamOptions } from './options.ts';

const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] });
const webName = 'web.default.svc.cluster.local';
const isProbe = ({ type }: Asked): boolean => type === 'HINFO' || type === 'NS';

async function dnsWith(upstream: UpstreamOptions, port = 0): Promise<DnsServer & { port: number }> {
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, web);
  const config = { listen: ['127.0.0.1'], port, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], upstream };
  const dns = await startDns(config, { api, log: () => {} });
  await dns.ready;
  return Object.assign(dns, { port: Number(/\d+$/.exec(dns.status().listen[0]!)![0]) });
}

test('R9: two servers that forward to each other find it out; both say so, and a question ends at once', async () => {
  // Where the second one will be.
  const port = freePort();
  await using first = await dnsWith({ servers: [`127.0.0.1:${port}`] });
  await using second = await dnsWith({ servers: [`127.0.0.1:${first.port}`] }, port);
  const { rcode } = await askUdp(first.port, question('www.example.com'));
  assert.equal(rcode, 'SERVFAIL');
  const loops = (dns: DnsServer): boolean => dns.status().upstreams[0]!.looping;
  // The first one began before the second was there, so it may have found nothing at first.
  await until(() => loops(second) || loops(first));
  const before = [first, second].map((dns) => (dns.status().metrics as { queriesUdp: number }).queriesUdp);
  const began = performance.now();
  assert.equal((await askUdp(second.port, question('other.example.com'))).rcode, 'SERVFAIL');
  const [one, two] = [first, second].map((dns, i) => (dns.status().metrics as { queriesUdp: number }).queriesUdp - before[i]!);
  assert.ok(one! + two! < 20, `${one} and ${two} questions between them`);
  assert.ok(performance.now() - began < 5000);
});

test('T31: a source that floods outside names while resolvers are silent is refused alone; others and cluster names go on', async (t) => {
  await using upstream = await TestUpstream.listen((request, about) =>
    about.name.endsWith('flood.example.') ? undefined : positive(request, about),
  );
  await using dns = await dnsWith({ servers: [upstream.server], mostPerSource: 50 });
  const flooder = dgram.createSocket('udp4').bind(0, '127.0.0.66');
  await once(flooder, 'listening');
  const got: Record<string, number> = {};
  flooder.on('message', (message) => {
    const { rcode } = read(message);
    got[rcode] = (got[rcode] ?? 0) + 1;
  });
  try {
    const slow: number[] = [];
    for (let i = 0; i < 40; i++) {
      for (let k = 0; k < 50; k++) flooder.send(question(`x${i}-${k}.flood.example`), dns.port, '127.0.0.1');
      const began = performance.now();
      assert.deepEqual((await askUdp(dns.port, question(webName))).answers, [`${webName}. 5 A 10.96.1.1`]);
      assert.equal((await askUdp(dns.port, question(`n${i}.example.com`))).rcode, 'NOERROR', 'another source');
      slow.push(performance.now() - began);
    }
    await until(() => (got.REFUSED ?? 0) > 1000);
    const { forward, cache } = dns.status();
    assert.ok(forward!.rejectedSource > 1000);
    assert.ok(cache!.waiting <= 50, `${cache!.waiting} wait`);
    slow.sort((a, b) => a - b);
    t.diagnostic(
      `2,000 questions of a flood, ${JSON.stringify(got)}; for others, two answers took ${slow[20]!.toFixed(1)} ms, at most ${slow[39]!.toFixed(1)}`,
    );
    assert.ok(slow[20]! < 200);
  } finally {
    await new Promise<void>((resolve) => flooder.close(() => resolve()));
  }
});

test('T30: an outside name that is an alias to a cluster name gets what the cluster says of it, now and out of the cache; forged addresses are not given', async () => {
  await using upstream = await TestUpstream.listen((request, about) =>
    isProbe(about)
      ? positive(request, about)
      : answer(request, {
          answers: [
            { name: about.name, type: 'CNAME', data: webName },
            { name: webName, type: 'A', data: '203.0.113.66' },
          ],
          additional: [
            { name: webName, type: 'A', data: '203.0.113.66' },
            { name: 'bank.example', type: 'A', data: '203.0.113.66' },
          ],
        }),
  );
  await using dns = await dnsWith({ servers: [upstream.server] });
  for (let i = 0; i < 2; i++) {
    const { answers, additional } = await askUdp(dns.port, question('www.example.com'));
    assert.deepEqual(
      answers.map((text) => text.split(' ').slice(2).join(' ')),
      [`CNAME ${webName}.`, 'A 10.96.1.1'],
    );
    assert.deepEqual(additional, []);
  }
  assert.equal(upstream.take().length, 1);
  upstream.behaviour = (request, about) => positive(request, about);
  assert.deepEqual(
    (await askUdp(dns.port, question('bank.example'))).answers,
    ['bank.example. 60 A 192.0.2.1'],
    'asked for on its own',
  );
});

test('T32: half a million random names of one domain leave memory where it was', async (t) => {
  await using upstream = await TestUpstream.listen(positive);
  const { TestForwarder } = await import('../testkit/forwarder.ts');
  using forwarder = new TestForwarder({ servers: [upstream.server], cache: { bytes: 4 << 20 } });
  await forwarder.said();
  const [entry] = [forwarder.cache.get({ name: '\x03www\x07example\x03com\0', type: 1 })!];
  const bytes = (): number => process.memoryUsage().heapUsed;
  const grown: number[] = [];
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 100_000; i++) {
      const name = `\x0ax${String(round * 100_000 + i).padStart(9, '0')}\x07example\x03com\0`;
      forwarder.cache.set({ name, type: 1 }, { ...entry, name }, performance.now());
    }
    (globalThis as { gc?: () => void }).gc?.();
    grown.push(bytes());
  }
  t.diagnostic(
    `${forwarder.cache.size} entries; heap after each 100,000: ${grown.map((value) => `${(value / 1e6).toFixed(0)} MB`).join(', ')}`,
  );
  assert.ok(forwarder.cache.bytes <= 4 << 20);
  assert.ok(Math.max(...grown) < Math.min(...grown) + (40 << 20));
});

test('AD of a resolver is told to those who ask for it with AD or DO; DO and CD are told to the resolver, options of the asker are not', async () => {
  await using upstream = await TestUpstream.listen((request, about) =>
    answer(request, { flags: 0x20, answers: about.type === 'A' ? [{ name: about.name, type: 'A', data: '192.0.2.1' }] : [] }),
  );
  await using dns = await dnsWith({ servers: [upstream.server] });
  const flags = async (options: Parameters<typeof question>[1]): Promise<boolean> =>
    (await askUdp(dns.port, question('www.example.com', options))).flags.includes('AD');
  for (let i = 0; i < 2; i++) {
    assert.equal(await flags({}), false);
    assert.equal(await flags({ flags: 0x120 }), true, 'AD');
    assert.equal(
      await flags({ edns: 1232, dnssecOk: true, options: Buffer.from('000a00080102030405060708', 'hex') }),
      true,
      'DO',
    );
    assert.equal(await flags({ flags: 0x110 }), false, 'CD');
  }
  const asked = upstream.requests.map((request) => {
    const { flags: word, records } = parseMessage(request);
    return [word & 0x10, records[0]!.ttl & 0x8000, records[0]!.dataLength];
  });
  assert.deepEqual(asked, [
    [0, 0, 0],
    [0, 0x8000, 0],
    [0x10, 0, 0],
  ]);
});

test('RFC 8914: those who know EDNS are told why: a stale answer, no resolver that answers, too many questions', async () => {
  let silent = false;
  await using upstream = await TestUpstream.listen((request, about) =>
    silent && !isProbe(about) ? answer(request, { rcode: 2 }) : positive(request, about),
  );
  await using dns = await dnsWith({ servers: [upstream.server], cache: { maxTtl: 1 } });
  const why = async (name: string, edns: number | undefined = 1232): Promise<string> => {
    const message = await askRaw(dns.port, question(name, { edns }));
    const { records, rcode } = parseMessage(message);
    const opt = records.find(({ type }) => type === 41);
    const codes = opt && opt.dataLength > 0 ? message.subarray(opt.dataAt, opt.end).toString('hex') : '';
    return `${rcode} ${codes}`;
  };
  assert.equal(await why('www.example.com'), '0 ');
  silent = true;
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(await why('www.example.com'), '0 000f00020003', 'asked for, in vain');
  assert.equal(await why('www.example.com'), '0 000f00020003', 'at once');
  assert.equal(await why('other.example.com'), '2 000f00020016');
  assert.equal((await askUdp(dns.port, question('other.example.com'))).edns, false, 'not without EDNS');
});
