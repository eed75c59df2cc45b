import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EndpointSlice, Namespace, Pod, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { namespace, pod, service, slice, TestCluster } from '../testkit/cluster.ts';
import { formatName } from '../wire/names.ts';
import { sliceFacts } from './facts.ts';
import { reverseName, reverseZones } from './reverse.ts';

const http = [{ name: 'http', protocol: 'TCP', port: 80 }];
const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'], ports: http });
const dual = service('dual', {
  clusterIPs: ['10.96.1.2', 'fd00:10:96::2'],
  ports: [...http, { name: 'dns', protocol: 'UDP', port: 53 }, { protocol: 'TCP', port: 99 }],
});
const headless = service('db', { clusterIP: 'None', clusterIPs: ['None'], ports: http });

test('D1: the zone says which version of the schema it has', () => {
  const { answers, flags } = new TestCluster().ask('dns-version.cluster.local', 'TXT');
  assert.deepEqual(answers, ['dns-version.cluster.local. 28800 TXT "1.1.0"']);
  assert.ok(flags.includes('AA'));
});

test('D2, D15: a ClusterIP Service has its addresses of each family, for 5 seconds', () => {
  const cluster = new TestCluster(web, dual);
  assert.deepEqual(cluster.ask('web.default.svc.cluster.local').answers, ['web.default.svc.cluster.local. 5 A 10.96.1.1']);
  assert.deepEqual(cluster.short('dual.default.svc.cluster.local'), ['NOERROR', '10.96.1.2']);
  assert.deepEqual(cluster.short('dual.default.svc.cluster.local', 'AAAA'), ['NOERROR', 'fd00:10:96::2']);
});

test('D3: each named port has an SRV record with the address beside it; unnamed ports have none', () => {
  const cluster = new TestCluster(dual);
  const srv = cluster.ask('_dns._udp.dual.default.svc.cluster.local', 'SRV');
  assert.deepEqual(srv.answers, ['_dns._udp.dual.default.svc.cluster.local. 5 SRV 0 100 53 dual.default.svc.cluster.local.']);
  assert.deepEqual(srv.additional, [
    'dual.default.svc.cluster.local. 5 A 10.96.1.2',
    'dual.default.svc.cluster.local. 5 AAAA fd00:10:96::2',
  ]);
  assert.equal(cluster.ask('_http._tcp.dual.default.svc.cluster.local', 'SRV').answers.length, 1);
  assert.equal(cluster.ask('_http._udp.dual.default.svc.cluster.local', 'SRV').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask('_tcp.dual.default.svc.cluster.local', 'SRV').rcode, 'NOERROR');
});

test('D4: each cluster address leads back to its Service', () => {
  const cluster = new TestCluster(dual);
  assert.deepEqual(cluster.short('2.1.96.10.in-addr.arpa', 'PTR'), ['NOERROR', 'dual.default.svc.cluster.local.']);
  const nibbles = formatName(reverseName(IpAddr.parse('fd00:10:96::2')));
  assert.equal(nibbles, '2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa.');
  assert.deepEqual(cluster.short(nibbles, 'PTR'), ['NOERROR', 'dual.default.svc.cluster.local.']);
});

test('D5, D10, D22: a headless Service has its ready endpoints, and without any it does not exist', () => {
  const cluster = new TestCluster(headless, namespace('default'));
  const name = 'db.default.svc.cluster.local';
  assert.equal(cluster.ask(name).rcode, 'NXDOMAIN');
  cluster.set(slice('db', [{ ip: '10.244.1.1' }, { ip: '10.244.1.2', ready: true }, { ip: '10.244.1.3', ready: false }]));
  assert.deepEqual(cluster.short(name), ['NOERROR', '10.244.1.1', '10.244.1.2']);
  assert.deepEqual(cluster.short(name, 'AAAA'), ['NOERROR'], 'a name that exists in one family only is NODATA in the other');
  cluster.set(slice('db', [{ ip: '10.244.1.1', ready: false }]));
  assert.equal(cluster.ask(name).rcode, 'NXDOMAIN');
  assert.equal(cluster.ask(name, 'AAAA').rcode, 'NXDOMAIN');
});

test('D6, D13: each endpoint of a headless Service has a name: its hostname, or its address with dashes', () => {
  const cluster = new TestCluster(
    headless,
    slice('db', [{ ip: '10.244.1.1', hostname: 'DB-0' }, { ip: '10.244.1.2' }, { ip: '10.244.1.3', hostname: 'db-0' }]),
    slice('db', [{ ip: 'fd00:10:244::1' }], { name: 'db-6' }),
  );
  assert.deepEqual(cluster.short('db-0.db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1', '10.244.1.3']);
  assert.deepEqual(cluster.short('10-244-1-2.db.default.svc.cluster.local'), ['NOERROR', '10.244.1.2']);
  assert.deepEqual(cluster.short('fd00-10-244--1.db.default.svc.cluster.local', 'AAAA'), ['NOERROR', 'fd00:10:244::1']);
  assert.equal(cluster.ask('10-244-1-1.db.default.svc.cluster.local').rcode, 'NXDOMAIN');
});

test('D7: a headless Service has one SRV record for each endpoint and named port, with the port of the endpoint', () => {
  const ports = [
    { name: 'http', protocol: 'TCP', port: 8080 },
    { name: 'peer', protocol: 'TCP', port: 7000 },
  ];
  const cluster = new TestCluster(headless, slice('db', [{ ip: '10.244.1.1', hostname: 'a' }, { ip: '10.244.1.2' }], { ports }));
  const targets = (port: number) => [
    'NOERROR',
    `0 100 ${port} 10-244-1-2.db.default.svc.cluster.local.`,
    `0 100 ${port} a.db.default.svc.cluster.local.`,
  ];
  assert.deepEqual(cluster.short('_http._tcp.db.default.svc.cluster.local', 'SRV'), targets(8080));
  assert.deepEqual(cluster.short('_peer._tcp.db.default.svc.cluster.local', 'SRV'), targets(7000));
  assert.equal(cluster.ask('_peer._tcp.db.default.svc.cluster.local', 'SRV', { edns: 1232 }).additional.length, 2);
});

test('D8: the address of an endpoint leads back to all names it has', () => {
  const other = service('other', { clusterIP: 'None' });
  const cluster = new TestCluster(
    headless,
    other,
    slice('db', [{ ip: '10.244.1.1', hostname: 'a' }]),
    slice('other', [{ ip: '10.244.1.1' }]),
  );
  assert.deepEqual(cluster.short('1.1.244.10.in-addr.arpa', 'PTR'), [
    'NOERROR',
    '10-244-1-1.other.default.svc.cluster.local.',
    'a.db.default.svc.cluster.local.',
  ]);
});

test('D9: an ExternalName Service is an alias, also to another Service, and nothing below it exists', () => {
  const cluster = new TestCluster(
    web,
    service('ext', { type: 'ExternalName', externalName: 'Example.com' }),
    service('inner', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local.' }),
    service('gone', { type: 'ExternalName', externalName: 'nothing.default.svc.cluster.local' }),
    service('loop', { type: 'ExternalName', externalName: 'loop.default.svc.cluster.local' }),
  );
  assert.deepEqual(cluster.short('ext.default.svc.cluster.local', 'CNAME'), ['NOERROR', 'Example.com.']);
  assert.deepEqual(cluster.short('ext.default.svc.cluster.local', 'AAAA'), ['NOERROR', 'Example.com.']);
  assert.deepEqual(cluster.ask('inner.default.svc.cluster.local').answers, [
    'inner.default.svc.cluster.local. 5 CNAME web.default.svc.cluster.local.',
    'web.default.svc.cluster.local. 5 A 10.96.1.1',
  ]);
  const { authority } = cluster.ask('inner.default.svc.cluster.local', 'AAAA');
  assert.deepEqual(authority, ['cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. minimum 5']);
  assert.equal(cluster.ask('gone.default.svc.cluster.local').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask('loop.default.svc.cluster.local').rcode, 'SERVFAIL');
  assert.equal(cluster.ask('_http._tcp.ext.default.svc.cluster.local', 'SRV').rcode, 'NXDOMAIN');
  cluster.set(service('ext', { type: 'ClusterIP', clusterIP: '10.96.1.9', ports: http }));
  assert.deepEqual(cluster.short('ext.default.svc.cluster.local'), ['NOERROR', '10.96.1.9']);
});

test('D12: pods that are there have a name by their address, in their own namespace only', () => {
  const cluster = new TestCluster(
    namespace('default'),
    pod('10.244.1.7'),
    pod('10.244.1.8', 'default', 'Failed'),
    pod('fd00:10:244::7'),
  );
  assert.deepEqual(cluster.short('10-244-1-7.default.pod.cluster.local'), ['NOERROR', '10.244.1.7']);
  assert.deepEqual(cluster.short('fd00-10-244--7.default.pod.cluster.local', 'AAAA'), ['NOERROR', 'fd00:10:244::7']);
  assert.equal(cluster.ask('10-244-1-7.other.pod.cluster.local').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask('10-244-1-8.default.pod.cluster.local').rcode, 'NXDOMAIN');
  cluster.remove(pod('10.244.1.7'));
  assert.equal(cluster.ask('10-244-1-7.default.pod.cluster.local').rcode, 'NXDOMAIN');
});

test('D14: NODATA for what exists or has something below it, NXDOMAIN for the rest, both with SOA', () => {
  const cluster = new TestCluster(namespace('default'), namespace('empty'), web);
  const cases: [name: string, type: 'A' | 'AAAA' | 'SRV' | 'TXT', rcode: string][] = [
    ['web.default.svc.cluster.local', 'AAAA', 'NOERROR'],
    ['web.default.svc.cluster.local', 'SRV', 'NOERROR'],
    ['default.svc.cluster.local', 'A', 'NOERROR'],
    ['empty.svc.cluster.local', 'A', 'NOERROR'],
    ['empty.pod.cluster.local', 'A', 'NOERROR'],
    ['svc.cluster.local', 'A', 'NOERROR'],
    ['pod.cluster.local', 'AAAA', 'NOERROR'],
    ['cluster.local', 'A', 'NOERROR'],
    ['_tcp.web.default.svc.cluster.local', 'A', 'NOERROR'],
    ['nothing.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['web.nowhere.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['nowhere.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['a.web.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['example.com.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['com.cluster.local', 'A', 'NXDOMAIN'],
    ['web.default.svc.cluster.local.cluster.local', 'AAAA', 'NXDOMAIN'],
  ];
  for (const [name, type, rcode] of cases) {
    const read = cluster.ask(name, type);
    assert.deepEqual([name, read.rcode, read.answers], [name, rcode, []]);
    assert.deepEqual(read.authority, ['cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. minimum 5'], name);
    assert.ok(read.flags.includes('AA'), name);
  }
  cluster.remove(namespace('empty'));
  assert.equal(cluster.ask('empty.svc.cluster.local').rcode, 'NXDOMAIN');
});

test('D16: before all objects are known, cluster names are SERVFAIL and never NXDOMAIN', () => {
  const cluster = new TestCluster(web);
  cluster.synced = false;
  for (const name of ['web.default.svc.cluster.local', 'nothing.svc.cluster.local', '1.1.96.10.in-addr.arpa'])
    assert.equal(cluster.ask(name).rcode, 'SERVFAIL', name);
});

test('D17: transfers are refused, the top of the zone has SOA and NS, other types are NODATA', () => {
  const cluster = new TestCluster(web);
  assert.equal(cluster.ask('cluster.local', 'AXFR', { transport: 'tcp' }).rcode, 'REFUSED');
  assert.equal(cluster.ask('cluster.local', 'IXFR').rcode, 'REFUSED');
  assert.deepEqual(cluster.ask('cluster.local', 'SOA').answers, [
    'cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. minimum 5',
  ]);
  assert.deepEqual(cluster.short('cluster.local', 'NS'), ['NOERROR', 'ns.dns.cluster.local.']);
  assert.deepEqual(cluster.short('244.10.in-addr.arpa', 'NS'), ['NOERROR', 'ns.dns.cluster.local.']);
  assert.deepEqual(cluster.short('ns.dns.cluster.local', 'AAAA'), ['NOERROR', 'fd00:10:96::a']);
  assert.deepEqual(cluster.short('web.default.svc.cluster.local', 15), ['NOERROR']);
  assert.deepEqual(cluster.short('web.default.svc.cluster.local', 'ANY'), ['NOERROR', '075246433834383200']);
});

test('D20: only names of own ranges are answered in reverse; others are not ours', () => {
  const cluster = new TestCluster(web);
  assert.equal(cluster.ask('9.9.96.10.in-addr.arpa', 'PTR').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask('96.10.in-addr.arpa', 'PTR').rcode, 'NOERROR');
  for (const name of ['10.in-addr.arpa', '1.1.97.10.in-addr.arpa', '8.8.8.8.in-addr.arpa', 'example.com'])
    assert.equal(cluster.ask(name, 'PTR').rcode, 'REFUSED', name);
});

test('D20: a range between two label boundaries becomes several reverse zones', () => {
  const names = (prefix: string) => reverseZones(Prefix.parse(prefix)).map(formatName);
  assert.deepEqual(names('10.96.0.0/16'), ['96.10.in-addr.arpa.']);
  assert.deepEqual(
    names('10.96.0.0/14'),
    ['96.10', '97.10', '98.10', '99.10'].map((label) => `${label}.in-addr.arpa.`),
  );
  assert.deepEqual(names('fc00::/7'), ['c.f.ip6.arpa.', 'd.f.ip6.arpa.']);
  assert.equal(names('192.0.2.128/30').length, 4);
});

test('D21: several answers begin with another one each time', () => {
  const ips = ['10.244.1.1', '10.244.1.2', '10.244.1.3'];
  const cluster = new TestCluster(
    headless,
    slice(
      'db',
      ips.map((ip) => ({ ip })),
    ),
  );
  const firsts = ips.map(() => cluster.ask('db.default.svc.cluster.local').answers[0]!.split(' ')[3]);
  assert.deepEqual(firsts.sort(), ips);
});

test('D23: names that DNS cannot carry give nothing and disturb nobody', () => {
  const cluster = new TestCluster(web, service('x'.repeat(64), { clusterIP: '10.96.1.5', ports: http }));
  // Labels that are short enough, of a name that is not.
  const long = Array.from({ length: 4 }, () => 'y'.repeat(63)).join('.');
  cluster.set(service('far', { type: 'ExternalName', externalName: long }));
  cluster.set(service('z'.repeat(63), { clusterIP: '10.96.1.6' }, `${'n'.repeat(63)}`));
  assert.deepEqual(cluster.short('web.default.svc.cluster.local'), ['NOERROR', '10.96.1.1']);
  assert.equal(cluster.ask('5.1.96.10.in-addr.arpa', 'PTR').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask('far.default.svc.cluster.local', 'CNAME').rcode, 'NXDOMAIN');
  assert.deepEqual(cluster.short(`${'z'.repeat(63)}.${'n'.repeat(63)}.svc.cluster.local`), ['NOERROR', '10.96.1.6'], 'as long as a label may be');
});

test('D23: labels of any bytes are names like others, in questions and at the end of an alias', () => {
  const cluster = new TestCluster(namespace('default'), web, service('odd', { type: 'ExternalName', externalName: 'a\\.b\\000\\255.example' }));
  for (const label of ['we\\.b', 'web\\000', '\\255', '\\003web', 'w\\195\\169b']) {
    const read = cluster.ask(`${label}.default.svc.cluster.local`);
    assert.deepEqual([read.rcode, read.answers, read.authority.length], ['NXDOMAIN', [], 1], label);
  }
  assert.deepEqual(cluster.short('odd.default.svc.cluster.local', 'CNAME'), ['NOERROR', 'a\\.b\\000\\255.example.']);
});

test('D5: a headless Service has the ready endpoints of each family in that family', () => {
  const cluster = new TestCluster(headless, slice('db', [{ ip: '10.244.1.1' }]), slice('db', [{ ip: 'fd00:10:244::1' }, { ip: 'fd00:10:244::2', ready: false }], { name: 'db-6' }));
  assert.deepEqual(cluster.short('db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1']);
  assert.deepEqual(cluster.short('db.default.svc.cluster.local', 'AAAA'), ['NOERROR', 'fd00:10:244::1']);
  assert.deepEqual(cluster.short(formatName(reverseName(IpAddr.parse('fd00:10:244::1'))), 'PTR'), ['NOERROR', 'fd00-10-244--1.db.default.svc.cluster.local.'], 'D8');
});

test('the case of the question is kept, and does not matter', () => {
  const { name, answers } = new TestCluster(web).ask('WeB.Default.sVc.clusteR.LOCAL');
  assert.equal(name, 'WeB.Default.sVc.clusteR.LOCAL.');
  assert.equal(answers.length, 1);
});

test('a Service that becomes headless, and back, takes its endpoints with it', () => {
  const cluster = new TestCluster(headless, slice('db', [{ ip: '10.244.1.1' }]));
  cluster.set(service('db', { clusterIP: '10.96.1.3', ports: http }));
  assert.deepEqual(cluster.short('db.default.svc.cluster.local'), ['NOERROR', '10.96.1.3']);
  assert.equal(cluster.ask('_http._tcp.db.default.svc.cluster.local', 'SRV').answers[0], '_http._tcp.db.default.svc.cluster.local. 5 SRV 0 100 80 db.default.svc.cluster.local.');
  cluster.set(headless);
  assert.deepEqual(cluster.short('db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1']);
});

test('an endpoint in two slices at once is answered once, and stays while one of them has it', () => {
  const [one, two] = ['db-1', 'db-2'].map((name) => slice('db', [{ ip: '10.244.1.1' }], { name })) as [
    EndpointSlice,
    EndpointSlice,
  ];
  const cluster = new TestCluster(headless, one, two);
  assert.deepEqual(cluster.short('db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1']);
  cluster.remove(one);
  assert.deepEqual(cluster.short('db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1']);
  cluster.remove(two);
  assert.equal(cluster.ask('db.default.svc.cluster.local').rcode, 'NXDOMAIN');
});

/** Every name with all it has, independent of order. */
const dump = ({ zone }: TestCluster): string[] =>
  [...zone.zones.entries()]
    .map(({ name, sets, children, pins }) => {
      const records = sets.map(({ type, data }) => `${type}:${data.map((d) => Buffer.from(d, 'latin1').toString('hex'))}`).sort();
      return `${formatName(name)} ${children} ${pins} ${records}`;
    })
    .sort();

type AnyObject = Namespace | Service | EndpointSlice | Pod;
const few = fc.constantFrom('a', 'b', 'c');
const ip = fc.integer({ min: 1, max: 4 }).map((n) => `10.244.1.${n}`);
const anObject: fc.Arbitrary<AnyObject> = fc.oneof(
  few.map(namespace),
  fc
    .tuple(few, few, fc.constantFrom('None', '10.96.0.1', '10.96.0.2'))
    .map(([name, of, clusterIP]) => service(name, { clusterIP, ports: http }, of)),
  fc.tuple(few, few).map(([name, of]) => service(name, { type: 'ExternalName', externalName: `${of}.a.svc.cluster.local` }, of)),
  fc
    .record({
      of: few,
      name: fc.constantFrom('s1', 's2', 's3'),
      namespaceName: few,
      endpoints: fc.array(fc.record({ ip, hostname: fc.option(few, { nil: undefined }), ready: fc.boolean() }), { maxLength: 4 }),
    })
    .map(({ of, name, namespaceName, endpoints }) => slice(of, endpoints, { name, namespaceName })),
  fc.tuple(ip, few).map(([address, of]) => pod(address, of)),
);

test('any history of objects ends in the zones that their last state gives, whatever the order', () => {
  const history = fc.array(fc.record({ object: anObject, present: fc.boolean() }), { maxLength: 40 });
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (events, random) => {
      const lived = new TestCluster();
      const last = new Map<string, AnyObject>();
      for (const { object, present } of events) {
        lived.set(object, present);
        const key = `${kindOf(object)} ${object.metadata.namespace}/${object.metadata.name}`;
        if (present) last.set(key, object);
        else last.delete(key);
      }
      const keys = [...last.values()].map((object) => ({ object, at: random.next().value as number }));
      const fresh = new TestCluster(...keys.sort((a, b) => a.at - b.at).map(({ object }) => object));
      assert.deepEqual(dump(lived), dump(fresh));
      for (const object of last.values()) lived.remove(object);
      assert.deepEqual(dump(lived), dump(new TestCluster()), 'what is taken away leaves nothing');
    }),
    { numRuns: 200 },
  );
});

const kindOf = (object: AnyObject): string =>
  'addressType' in object
    ? 'slice'
    : object.metadata.namespace === undefined
      ? 'namespace'
      : object.spec && 'containers' in object.spec
        ? 'pod'
        : 'service';

test('D11: the zone of a small cluster has the records of the specification and, beside them, only what is listed here', () => {
  const cluster = new TestCluster(
    namespace('default'),
    dual,
    headless,
    slice('db', [{ ip: '10.244.1.1', hostname: 'db-0' }, { ip: '10.244.1.2', ready: false }]),
    service('ext', { type: 'ExternalName', externalName: 'example.com' }),
    pod('10.244.1.1'),
  );
  const types: Record<number, string> = { 1: 'A', 2: 'NS', 5: 'CNAME', 12: 'PTR', 16: 'TXT', 28: 'AAAA', 33: 'SRV' };
  const records = [...cluster.zone.zones.entries()].flatMap(({ name, sets }) => sets.flatMap(({ type, data }) => data.map(() => `${formatName(name)} ${types[type]}`)));
  const reverse6 = formatName(reverseName(IpAddr.parse('fd00:10:96::2')));
  const specified = [
    'dns-version.cluster.local. TXT',
    ...['A', 'AAAA'].map((type) => `dual.default.svc.cluster.local. ${type}`),
    ...['_http._tcp', '_dns._udp'].map((port) => `${port}.dual.default.svc.cluster.local. SRV`),
    ...['2.1.96.10.in-addr.arpa. PTR', `${reverse6} PTR`],
    ...['db.default.svc.cluster.local. A', 'db-0.db.default.svc.cluster.local. A', '_http._tcp.db.default.svc.cluster.local. SRV', '1.1.244.10.in-addr.arpa. PTR'],
    'ext.default.svc.cluster.local. CNAME',
  ];
  const beside = [
    '10-244-1-1.default.pod.cluster.local. A',
    ...['A', 'AAAA'].map((type) => `ns.dns.cluster.local. ${type}`),
    ...cluster.zone.zones.apexes.map(({ name }) => `${formatName(name)} NS`),
  ];
  assert.deepEqual(records.sort(), [...specified, ...beside].sort());
});

test('D2, D6, D8: an endpoint named as its pod, and other TTLs, where they are asked for', () => {
  const cluster = new TestCluster(headless);
  const { endpoints, ...rest } = slice('db', [{ ip: '10.244.1.1' }, { ip: '10.244.1.2', hostname: 'own' }]);
  const named = { ...rest, endpoints: endpoints!.map((endpoint, i) => ({ ...endpoint, targetRef: { kind: 'Pod', name: `db-pod-${i}` } })) };
  cluster.zone.slice('default/db-1', sliceFacts(named, true));
  assert.deepEqual(cluster.short('db-pod-0.db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1']);
  assert.deepEqual(cluster.short('own.db.default.svc.cluster.local'), ['NOERROR', '10.244.1.2']);
  assert.deepEqual(cluster.short('1.1.244.10.in-addr.arpa', 'PTR'), ['NOERROR', 'db-pod-0.db.default.svc.cluster.local.']);
  assert.equal(cluster.ask('10-244-1-1.db.default.svc.cluster.local').rcode, 'NXDOMAIN');
});

test('D9: an ExternalName that leads on through others ends where they end; SRV and names of endpoints do not exist below it', () => {
  const cluster = new TestCluster(
    dual,
    service('one', { type: 'ExternalName', externalName: 'two.default.svc.cluster.local' }),
    service('two', { type: 'ExternalName', externalName: 'dual.default.svc.cluster.local' }),
  );
  const { answers } = cluster.ask('one.default.svc.cluster.local', 'AAAA');
  assert.deepEqual(answers.map((text) => text.split(' ').slice(2).join(' ')), ['CNAME two.default.svc.cluster.local.', 'CNAME dual.default.svc.cluster.local.', 'AAAA fd00:10:96::2']);
  for (const name of ['_http._tcp.one', 'a.one', '10-244-1-1.one']) assert.equal(cluster.ask(`${name}.default.svc.cluster.local`, 'SRV').rcode, 'NXDOMAIN', name);
});

test('D10, D22: an endpoint that ends is gone, unless its Service publishes it, which its slice says as ready', () => {
  const cluster = new TestCluster(headless, namespace('default'));
  const ending = slice('db', [{ ip: '10.244.1.1' }]);
  cluster.set({ ...ending, endpoints: [{ addresses: ['10.244.1.1'], hostname: 'a', conditions: { ready: false, serving: true, terminating: true } }] });
  for (const name of ['db.default.svc.cluster.local', 'a.db.default.svc.cluster.local']) assert.equal(cluster.ask(name).rcode, 'NXDOMAIN', name);
  assert.equal(cluster.ask('1.1.244.10.in-addr.arpa', 'PTR').rcode, 'NXDOMAIN');
  cluster.set({ ...ending, endpoints: [{ addresses: ['10.244.1.1'], hostname: 'a', conditions: { ready: true, serving: true, terminating: true } }] });
  assert.deepEqual(cluster.short('a.db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1']);
  cluster.set({ ...ending, endpoints: [{ addresses: ['10.244.1.1'], hostname: 'a' }] });
  assert.deepEqual(cluster.short('db.default.svc.cluster.local'), ['NOERROR', '10.244.1.1'], 'a condition that is not said counts as ready');
});
