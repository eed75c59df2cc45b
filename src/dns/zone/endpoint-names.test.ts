import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../../net/ip.ts';
import { namespace, service, slice, TestCluster } from '../testkit/cluster.ts';
import { formatName } from '../wire/names.ts';
import { NumberIndex } from './number-index.ts';
import { reverseName } from './reverse.ts';

const ports = [{ name: 'http', protocol: 'TCP', port: 80 }];
const web = service('web', { clusterIPs: ['10.96.1.1', 'fd00:10:96::1'], ports });
const endpoints = slice('web', [{ ip: '10.244.1.1' }, { ip: '10.244.1.2', hostname: 'web-0' }, { ip: '10.244.1.3', ready: false }]);
const six = slice('web', [{ ip: 'fd00:10:244::1' }, { ip: 'fd00:10:244:0:0:0:0:2', hostname: 'web-0' }], { name: 'web-6' });
const local = (name: string): string => `${name}.default.svc.cluster.local`;
const reverse = (ip: string): string => formatName(reverseName(IpAddr.parse(ip)));

test('D6: endpoints of a Service with a ClusterIP have names below it, as those of headless ones do, in both families', () => {
  const cluster = new TestCluster(namespace('default'), web, endpoints, six);
  assert.deepEqual(cluster.ask(local('10-244-1-1.web')).answers, [`${local('10-244-1-1.web')}. 5 A 10.244.1.1`]);
  assert.deepEqual(cluster.short(local('WEB-0.web')), ['NOERROR', '10.244.1.2']);
  assert.deepEqual(cluster.short(local('web-0.web'), 'AAAA'), ['NOERROR', 'fd00:10:244::2']);
  assert.deepEqual(cluster.short(local('fd00-10-244--1.web'), 'AAAA'), ['NOERROR', 'fd00:10:244::1']);
  assert.deepEqual(cluster.short(local('fd00-10-244--1.web')), ['NOERROR'], 'NODATA in the other family (D14)');
  assert.deepEqual(cluster.short(local('web')), ['NOERROR', '10.96.1.1'], 'the Service itself has its own address alone');
  const none = ['10-244-1-2.web', '10-244-1-3.web', '10-244-1-9.web', '010-244-1-1.web', 'web-1.web', 'a.web-0.web', '10-244-1-1.other', '_tcp.10-244-1-1.web'];
  for (const name of none) assert.equal(cluster.ask(local(name)).rcode, 'NXDOMAIN', name);
});

test('D8, D10, D22: the address of a pod that only a Service with a ClusterIP selects leads back to its name there, while it is ready', () => {
  const other = service('other', { clusterIPs: ['10.96.1.2'], ports });
  const cluster = new TestCluster(web, other, endpoints, six, slice('other', [{ ip: '10.244.1.1' }]));
  assert.deepEqual(cluster.short(reverse('10.244.1.2'), 'PTR'), ['NOERROR', `${local('web-0.web')}.`]);
  assert.deepEqual(cluster.short(reverse('10.244.1.1'), 'PTR'), ['NOERROR', `${local('10-244-1-1.other')}.`, `${local('10-244-1-1.web')}.`]);
  assert.deepEqual(cluster.short(reverse('fd00:10:244::2'), 'PTR'), ['NOERROR', `${local('web-0.web')}.`]);
  assert.deepEqual(cluster.short(reverse('10.244.1.1')), ['NOERROR']);
  assert.equal(cluster.ask(reverse('10.244.1.3'), 'PTR').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask(`1.${reverse('10.244.1.1')}`, 'PTR').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask('244.10.in-addr.arpa', 'PTR').rcode, 'NOERROR');
  cluster.set(slice('other', [{ ip: '10.244.1.1', ready: false }]));
  assert.deepEqual(cluster.short(reverse('10.244.1.1'), 'PTR'), ['NOERROR', `${local('10-244-1-1.web')}.`]);
  assert.deepEqual(cluster.zone.objectsOf(reverseName(IpAddr.parse('10.244.1.1'))), ['EndpointSlice default/web-1']);
  cluster.remove(endpoints);
  for (const name of [reverse('10.244.1.1'), local('10-244-1-1.web')]) assert.equal(cluster.ask(name, 'PTR').rcode, 'NXDOMAIN', name);
  cluster.remove(six);
});

test('D8: a headless Service names the address, where both kinds select a pod; names of endpoints go with the ClusterIP', () => {
  const headless = service('db', { clusterIP: 'None' });
  const cluster = new TestCluster(web, endpoints, headless, slice('db', [{ ip: '10.244.1.1', hostname: 'db-0' }]));
  assert.deepEqual(cluster.short(reverse('10.244.1.1'), 'PTR'), ['NOERROR', `${local('db-0.db')}.`]);
  cluster.remove(headless);
  assert.deepEqual(cluster.short(reverse('10.244.1.1'), 'PTR'), ['NOERROR', `${local('10-244-1-1.web')}.`]);
  cluster.set(service('web', { type: 'ExternalName', externalName: 'web.example' }));
  assert.equal(cluster.ask(reverse('10.244.1.1'), 'PTR').rcode, 'NXDOMAIN');
  assert.equal(cluster.ask(local('10-244-1-1.web')).rcode, 'NXDOMAIN', 'D9');
});

test('D9: an alias to the name of an endpoint comes with its address', () => {
  const cluster = new TestCluster(web, endpoints, service('first', { type: 'ExternalName', externalName: local('web-0.web') }));
  assert.deepEqual(cluster.short(local('first')), ['NOERROR', '10.244.1.2', `${local('web-0.web')}.`]);
});

test('numbers by key are what a map of sets would have, whatever comes and goes', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 5 })), { maxLength: 4000, size: 'max' });
  fc.assert(
    fc.property(steps, (all) => {
      const [index, model] = [new NumberIndex(), new Map<string, [number, number]>()];
      for (const [add, key, value] of all) {
        const has = model.has(`${key} ${value}`);
        if (add && !has) {
          index.add(key, value);
          model.set(`${key} ${value}`, [key, value]);
        } else if (!add) {
          index.remove(key, value);
          model.delete(`${key} ${value}`);
        }
      }
      for (let key = 0; key <= 30; key++)
        assert.deepEqual([...index.get(key)].sort(), [...model.values()].flatMap(([of, value]) => (of === key ? [value] : [])).sort());
    }),
    { numRuns: 50 },
  );
  const many = new NumberIndex();
  for (let i = 0; i < 5000; i++) many.add(i * 7919, i);
  for (let i = 0; i < 5000; i++) assert.deepEqual([...many.get(i * 7919)], [i]);
});
