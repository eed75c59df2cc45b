import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeApi } from '../../kube/fake.ts';
import { Nodes } from '../../kube/resources.ts';
import { Prefix } from '../../net/prefix.ts';
import { newMetrics } from '../metrics.ts';
import { Pipeline, stagesOf } from '../pipeline.ts';
import { service, slice, TestCluster } from '../testkit/cluster.ts';
import { question, type QuestionOptions, type Read, read } from '../testkit/message.ts';
import { ClientAddress } from '../wire/client.ts';
import { rrType } from '../wire/constants.ts';
import type { Transport } from '../wire/query.ts';
import { ZoneAnswerer } from '../zone/answer.ts';
import { type LimitOptions, Limits, parseLimits } from './limits.ts';
import { NodeClients } from './nodes.ts';
import { RateTable } from './rate.ts';
import { Ranges } from './ranges.ts';

const of = (text: string): ClientAddress => {
  const client = new ClientAddress();
  client.setText(text);
  return client;
};
const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] });
const webName = 'web.default.svc.cluster.local';

/** A pipeline over a small cluster, asked from any address; the clock stands still until it is moved. */
function limited(options: LimitOptions, nodes?: NodeClients) {
  const cluster = new TestCluster(
    web,
    service('db', { clusterIP: 'None' }),
    slice(
      'db',
      Array.from({ length: 50 }, (_, i) => ({ ip: `10.244.1.${i}` })),
    ),
  );
  const clock = { ms: 0 };
  const limits = new Limits(parseLimits(options), ['10.244.0.0/16', 'fd00:10:244::/56'].map(Prefix.parse), () => clock.ms, nodes);
  const { zones, ttl } = cluster.zone;
  const pipeline = new Pipeline(stagesOf({ zones, answerer: new ZoneAnswerer(zones, ttl), isSynced: () => true }), newMetrics(), {
    limits,
  });
  const ask = (from: string, message: Buffer, transport: Transport = 'udp'): Buffer => {
    const out = Buffer.alloc(65535);
    const length = pipeline.answer(
      message,
      0,
      message.length,
      transport,
      out,
      0,
      () => assert.fail('nothing is forwarded here'),
      of(from),
    );
    return out.subarray(0, length);
  };
  const from = (address: string, name = webName, rest: QuestionOptions & { transport?: Transport } = {}): Read | undefined => {
    const answer = ask(address, question(name, rest), rest.transport);
    return answer.length === 0 ? undefined : read(Buffer.from(answer));
  };
  return { from, ask, clock, counters: limits.counters };
}

test('ranges hold exactly their addresses, in both families', () => {
  const ranges = new Ranges(['10.244.0.0/15', '192.0.2.1/32', 'fd00:10:244::/56', '2001:db8::/127'].map(Prefix.parse));
  for (const inside of ['10.244.0.0', '10.245.255.255', '192.0.2.1', 'fd00:10:244:ff:1::', '2001:db8::1'])
    assert.ok(ranges.has(of(inside)), inside);
  for (const outside of ['10.246.0.0', '10.243.255.255', '192.0.2.2', 'fd00:10:244:100::', '2001:db8::2', '0.0.0.0'])
    assert.ok(!ranges.has(of(outside)), outside);
  assert.ok(new Ranges([Prefix.parse('0.0.0.0/0')]).has(of('203.0.113.7')));
  assert.ok(!new Ranges([Prefix.parse('0.0.0.0/0')]).has(of('::1')));
});

test('a rate holds for each key, and comes back with time; a flood of keys pushes none out that is in use', () => {
  const rate = new RateTable(100);
  let sent = 0;
  for (let i = 0; i < 1000; i++) if (rate.take(7, 0) === 0) sent++;
  assert.equal(sent, 100);
  assert.equal(rate.take(7, 0), 901, 'the 901st in a row');
  assert.equal(rate.take(8, 0), 0);
  assert.equal(rate.take(7, 30), 0);
  let late = 0;
  for (let i = 0; i < 50_000; i++) {
    const at = 40 + i / 100;
    rate.take(Math.imul(i, 0x9e3779b1), at);
    if (rate.take(7, at) === 0) late++;
  }
  assert.ok(late <= 54, `${late} in half a second`);
});

test('T31: who is no client gets nothing over UDP, not even for garbage, and REFUSED over TCP; the cluster and this machine always do', () => {
  const { from, ask, counters } = limited({ clients: ['192.168.7.0/24', '2001:db8::/64'] });
  for (const client of ['192.168.7.9', '2001:db8::9', '10.244.3.1', 'fd00:10:244::1', '127.0.0.1', '::1'])
    assert.equal(from(client)?.rcode, 'NOERROR', client);
  for (const stranger of ['203.0.113.9', '2001:db8:1::9', '10.245.0.1']) {
    assert.equal(from(stranger), undefined, stranger);
    assert.equal(ask(stranger, question(webName).subarray(0, 20)).length, 0);
    const { rcode, answers } = from(stranger, webName, { transport: 'tcp' })!;
    assert.deepEqual([rcode, answers], ['REFUSED', []]);
  }
  assert.equal(counters.strangers, 9);
});

test("T31: by default the cluster's Nodes are answered, and nobody else from outside; everybody as long as they are not known", async () => {
  const api = new FakeApi();
  const node = (name: string, ...addresses: string[]) => ({ metadata: { name }, status: { addresses: [{ type: 'Hostname', address: name }, ...addresses.map((address) => ({ type: 'InternalIP', address }))] } });
  await api.create(Nodes, node('one', '192.0.2.1', '2001:db8::1'));
  const two = await api.create(Nodes, node('two', '192.0.2.2'));
  using nodes = new NodeClients(api);
  const { from } = limited({}, nodes);
  assert.equal(from('203.0.113.9')?.rcode, 'NOERROR', 'not known yet');
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let i = 0; !isSo(); i++) {
      assert.ok(i < 1000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  nodes.start();
  await until(() => nodes.isKnown);
  for (const client of ['192.0.2.1', '2001:db8::1', '192.0.2.2', '10.244.3.1', '127.0.0.1']) assert.equal(from(client)?.rcode, 'NOERROR', client);
  for (const stranger of ['203.0.113.9', '192.0.2.3', '2001:db8::2']) assert.equal(from(stranger), undefined, stranger);
  // The address passes on before the former Node is gone.
  await api.create(Nodes, node('three', '192.0.2.2', '192.0.2.3'));
  await until(() => from('192.0.2.3') !== undefined);
  await api.delete(Nodes, two.metadata.name, undefined);
  await api.delete(Nodes, 'one', undefined);
  await until(() => from('192.0.2.1') === undefined);
  assert.equal(from('192.0.2.2')?.rcode, 'NOERROR');
});

test('T31: equal answers to an address that may be forged have a rate; beyond it an asker is sent to TCP, where it gets all', () => {
  const { from, clock, counters } = limited({ responsesPerSecond: 50 });
  const sent = Array.from({ length: 200 }, () => from('203.0.113.9')!);
  assert.deepEqual([sent.filter(({ answers }) => answers.length > 0).length, counters.slipped], [50, 150]);
  assert.deepEqual(sent[199]!.flags.includes('TC'), true);
  assert.ok(sent[199]!.bytes <= question(webName).length, 'no larger than the question');
  assert.equal(from('203.0.113.9', webName, { transport: 'tcp' })?.answers.length, 1);
  assert.equal(from('203.0.113.10')?.answers.length, 1, 'others are not concerned');
  assert.ok((from('203.0.113.9', 'db.default.svc.cluster.local')?.answers.length ?? 0) > 0, 'nor other names');
  clock.ms += 100;
  assert.equal(Array.from({ length: 20 }, () => from('203.0.113.9')!).filter(({ answers }) => answers.length > 0).length, 5);
  for (let i = 0; i < 500; i++) assert.equal(from('10.244.1.1')?.answers.length, 1, 'pods cannot forge their addresses');
});

test('T32: names that are made up count together, so that absences have a rate too; with slip 2 every other one is dropped', () => {
  const { from, counters } = limited({ responsesPerSecond: 20, slip: 2 });
  const got = Array.from({ length: 120 }, (_, i) => from('2001:db8::1', `x${i}.default.svc.cluster.local`));
  assert.equal(got.filter((answer) => answer?.rcode === 'NXDOMAIN').length, 20);
  assert.deepEqual([counters.slipped, counters.dropped, got.filter((answer) => answer === undefined).length], [50, 50, 50]);
  assert.equal(from('2001:db8::2', 'y.default.svc.cluster.local')?.rcode === 'NXDOMAIN', false, 'the same /64');
});

test('T31: of all that a stranger can get over UDP in a second, what is larger than its questions stays within the rate', () => {
  const { ask } = limited({ responsesPerSecond: 10 });
  for (const [name, type] of [
    ['db.default.svc.cluster.local', 'A'],
    ['db.default.svc.cluster.local', 'ANY'],
    ['cluster.local', 'SOA'],
    ['_http._tcp.db.default.svc.cluster.local', 'SRV'],
    ['no.default.svc.cluster.local', 'A'],
    ['cluster.local', 'AXFR'],
    ['example.com', 'A'],
  ] as const) {
    const message = question(name, { type: rrType[type], edns: 4096 });
    let sent = 0;
    for (let i = 0; i < 1000; i++) sent += ask('203.0.113.9', message).length;
    const factor = sent / (1000 * message.length);
    assert.ok(factor <= 3, `${name} ${type}: ${factor.toFixed(2)} times the question`);
  }
});

test('wrong limits are refused with the field, the value seen and what is expected', () => {
  const wrong: [object, RegExp][] = [
    [{ client: [] }, /^unknown field "limits.client"; known are clients/],
    [{ responsesPerSecond: -1 }, /^limits.responsesPerSecond must be .*not -1/],
    [{ slip: 0 }, /^limits.slip must be .*not 0/],
    [{ clients: ['x'] }, /^limits.clients: /],
  ];
  for (const [input, message] of wrong) assert.throws(() => parseLimits(input), { name: 'SyntaxError', message });
});
