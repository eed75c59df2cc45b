import assert from 'node:assert/strict';
import test from 'node:test';
import { namespace, service, slice, TestCluster } from '../testkit/cluster.ts';
import { question, read } from '../testkit/message.ts';
import { rrType } from '../wire/constants.ts';
import { Query } from '../wire/query.ts';
import { questionName, Reply } from '../wire/reply.ts';
import { Changes } from './changes.ts';
import { ReadyAnswers } from './ready.ts';

const http = [{ name: 'http', protocol: 'TCP', port: 80 }];
const suffix = 'default.svc.cluster.local';
const web = (...clusterIPs: string[]) => service('web', { clusterIP: clusterIPs[0], clusterIPs, ports: http });
/** Without owner and TTL. */
const rest = (record: string): string => record.split(' ').slice(2).join(' ');
const short = (answer: Buffer): string => {
  const { rcode, answers, additional } = read(answer);
  return [rcode, ...answers.map(rest), ...additional.map((record) => `+ ${rest(record)}`)].join(', ');
};

/** Asks twice: the second answer is a ready one. */
function both(cluster: TestCluster, name: string, type: 'A' | 'AAAA' | 'SRV', edns?: number): string {
  const [first, second] = [1, 2].map(() => Buffer.from(cluster.raw(question(name, { type, edns }))));
  assert.deepEqual(second, first, `${name} ${type}`);
  return short(first!);
}

test('a ready answer is the same as the first one, in the asker\'s own case, with and without EDNS', () => {
  const cluster = new TestCluster(namespace('default'), web('10.96.1.1', 'fd00:10:96::1'), service('v4', { clusterIP: '10.96.1.2', clusterIPs: ['10.96.1.2'] }));
  for (const edns of [undefined, 4096]) {
    assert.equal(both(cluster, `web.${suffix}`, 'A', edns), 'NOERROR, A 10.96.1.1');
    assert.equal(both(cluster, `web.${suffix}`, 'AAAA', edns), 'NOERROR, AAAA fd00:10:96::1');
    assert.equal(both(cluster, `v4.${suffix}`, 'AAAA', edns), 'NOERROR');
    assert.equal(both(cluster, `_http._tcp.web.${suffix}`, 'SRV', edns), `NOERROR, SRV 0 100 80 web.${suffix}., + A 10.96.1.1, + AAAA fd00:10:96::1`);
  }
  const shout = Buffer.from(cluster.raw(question(`WEB.${suffix}`, {})));
  assert.ok(shout.includes(Buffer.from('WEB')));
  assert.equal(short(shout), 'NOERROR, A 10.96.1.1');
});

test('a ready answer holds no longer than what it rests on: the name, its existence, and the addresses of an SRV target', () => {
  const cluster = new TestCluster(namespace('default'), web('10.96.1.1'));
  const [a, aaaa, srv] = [`web.${suffix}`, `web.${suffix}`, `_http._tcp.web.${suffix}`];
  const ask = (): string[] => [both(cluster, a, 'A'), both(cluster, aaaa, 'AAAA'), both(cluster, srv, 'SRV')];
  const answerOf = (...ips: string[]): string[] => {
    const [v4, v6] = [ips.find((ip) => !ip.includes(':')), ips.find((ip) => ip.includes(':'))];
    const target = ips.map((ip) => `, + ${ip.includes(':') ? 'AAAA' : 'A'} ${ip}`).join('');
    return [v4 ? `NOERROR, A ${v4}` : 'NOERROR', v6 ? `NOERROR, AAAA ${v6}` : 'NOERROR', `NOERROR, SRV 0 100 80 web.${suffix}.${target}`];
  };
  assert.deepEqual(ask(), answerOf('10.96.1.1'));
  cluster.set(web('10.96.1.9', 'fd00:10:96::9'));
  assert.deepEqual(ask(), answerOf('10.96.1.9', 'fd00:10:96::9'));
  cluster.set(web('fd00:10:96::9'));
  assert.deepEqual(ask(), answerOf('fd00:10:96::9'));
  cluster.remove(web('fd00:10:96::9'));
  assert.deepEqual(ask(), ['NXDOMAIN', 'NXDOMAIN', 'NXDOMAIN']);
  cluster.set(web('10.96.1.1'));
  assert.deepEqual(ask(), answerOf('10.96.1.1'));
  cluster.set(service('web', { type: 'ExternalName', externalName: `other.${suffix}` }));
  assert.match(ask()[0]!, /CNAME other/);
  cluster.set(service('web', { clusterIP: 'None' }));
  cluster.set(slice('web', [{ ip: '10.244.0.1' }]));
  assert.equal(both(cluster, a, 'A'), 'NOERROR, A 10.244.0.1');
  cluster.set(slice('web', [{ ip: '10.244.0.1' }, { ip: '10.244.0.2' }]));
  const turns = [1, 2].map(() => read(cluster.raw(question(a, {}))).answers.map(rest).join());
  assert.deepEqual([...turns].sort(), ['A 10.244.0.1,A 10.244.0.2', 'A 10.244.0.2,A 10.244.0.1'], 'D21: several take turns');
  cluster.set(slice('web', [{ ip: '10.244.0.2' }]));
  assert.equal(both(cluster, a, 'A'), 'NOERROR, A 10.244.0.2');
});

test('ready answers to thousands of names are each its own', () => {
  const count = 5000;
  const names = Array.from({ length: count }, (_, i) => service(`service-${i}-${'x'.repeat(40)}`, { clusterIP: 'x', clusterIPs: [`10.96.${i >> 8}.${i & 255}`] }));
  const cluster = new TestCluster(namespace('default'), ...names);
  for (let round = 0; round < 3; round++)
    for (let i = 0; i < count; i++) {
      const [a, aaaa] = (['A', 'AAAA'] as const).map((type) => short(cluster.raw(question(`service-${i}-${'x'.repeat(40)}.${suffix}`, { type }))));
      if (a !== `NOERROR, A 10.96.${i >> 8}.${i & 255}` || aaaa !== 'NOERROR') assert.fail(`${i} in round ${round}: ${a}; ${aaaa}`);
    }
});

test('when their memory is full all ready answers are forgotten, and new ones are kept', () => {
  const ready = new ReadyAnswers(new Changes(), 1 << 18);
  const [query, reply, out] = [new Query(), new Reply(), Buffer.alloc(1232)];
  const begin = (i: number): void => {
    const message = question(`service-${i}.${suffix}`, {});
    query.parse(message, 0, message.length, 'udp');
    reply.begin(query, out, 0);
  };
  const addressOf = (i: number): string => String.fromCharCode(10, 0, i >> 8, i & 255);
  const isKept = (i: number): boolean => {
    begin(i);
    if (!ready.write(query, reply, 1)) return false;
    assert.equal(out.toString('latin1', reply.position - 4, reply.position), addressOf(i), `${i}`);
    return true;
  };
  const all = 6000;
  let [forgotten, kept] = [0, 0];
  for (let i = 0; i < all; i++) {
    begin(i);
    reply.record(questionName, rrType.A, 5, addressOf(i));
    reply.answers++;
    ready.keep(query, reply, {});
    assert.ok(isKept(i));
    if (i > 0 && !isKept(i - 1)) forgotten++;
  }
  for (let i = 0; i < all; i++) if (isKept(i)) kept++;
  assert.ok(forgotten >= 1 && forgotten <= 4, `forgotten ${forgotten} times`);
  assert.ok(kept > 100 && kept < 3000, `${kept} kept`);
});
