import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodSpec } from '../../kube/types.ts';
import { fqdnOf, hostNetworkHosts, hostnameOf, kernelHostnameOf, podHosts } from './hosts.ts';
import { formatResolvConf, parseResolvConf, resolvConf } from '../../kube/resolv-conf.ts';

const host =
  '# comment\nnameserver 192.0.2.1\nsearch lan example.org.\nnameserver 192.0.2.2 ; second\noptions ndots:1 rotate\nsearch example.org. lan\n';
const settings = { clusterDns: ['10.96.0.10'], clusterDomain: 'cluster.local', host, loopback: '127.0.0.1' };
const conf = (spec: Partial<PodSpec>, more: Partial<typeof settings> | { host: undefined } = {}) =>
  resolvConf({ namespace: 'shop', spec: { containers: [], ...spec } }, { ...settings, ...more });

test('R2: a pod asks the cluster DNS, searches its namespace first, then what the host searches, with ndots:5', () => {
  const { events, ...made } = conf({});
  assert.deepEqual(events, []);
  assert.equal(
    formatResolvConf(made),
    'search shop.svc.cluster.local svc.cluster.local cluster.local example.org lan\nnameserver 10.96.0.10\noptions ndots:5\n',
  );
  assert.deepEqual(conf({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }).nameservers, ['10.96.0.10']);
});

test('R2: what the host searches and the cluster has already is searched once, in the place of the cluster', () => {
  const { searches } = conf({}, { host: 'nameserver 192.0.2.1\nsearch lan cluster.local. svc.cluster.local lan\n' });
  assert.deepEqual(searches, ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'lan']);
});

test('R8: of several options lines the last counts; names with underscores, and the root alone, may be searched (KEP-4427)', () => {
  const odd = 'nameserver 192.0.2.1\noptions ndots:3 rotate\n; a comment\nsearch _tcp.lan sub_domain.example. .\n\toptions  timeout:1\n';
  assert.deepEqual(parseResolvConf(odd), { nameservers: ['192.0.2.1'], searches: ['_tcp.lan', 'sub_domain.example', '.'], options: ['timeout:1'] });
  const { searches, events } = conf({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.9'], searches: ['.', 'a_b.example'] } });
  assert.deepEqual([searches, events], [['.', 'a_b.example'], []]);
});

test('R3, R8: with Default, or hostNetwork, it has what the host has: servers add up, the last search line counts', () => {
  const expected = { nameservers: ['192.0.2.1', '192.0.2.2'], searches: ['example.org', 'lan'], options: ['ndots:1', 'rotate'] };
  assert.deepEqual(parseResolvConf(host), expected);
  assert.deepEqual(conf({ dnsPolicy: 'Default' }), { ...expected, events: [] });
  assert.deepEqual(conf({ hostNetwork: true }), { ...expected, events: [] });
});

test('R4: without a cluster DNS it falls back to Default and says so', () => {
  const { nameservers, events } = conf({}, { clusterDns: [] });
  assert.deepEqual(nameservers, ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual(
    events.map(({ reason }) => reason),
    ['MissingClusterDNS'],
  );
  const { nameservers: ofHost, events: told } = conf({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }, { clusterDns: [] });
  assert.deepEqual([ofHost, told.map(({ reason }) => reason)], [['192.0.2.1', '192.0.2.2'], ['MissingClusterDNS']]);
  assert.deepEqual(conf({ dnsPolicy: 'Default' }, { clusterDns: [] }).events, [], 'who does not ask for it misses nothing');
});

test("R5: a node without a resolv.conf sends Default pods to their own loopback, of the node's family", () => {
  assert.deepEqual(conf({ dnsPolicy: 'Default' }, { host: undefined }), {
    nameservers: ['127.0.0.1'],
    searches: ['.'],
    options: [],
    events: [],
  });
  assert.deepEqual(conf({ dnsPolicy: 'Default' }, { host: undefined, loopback: '::1' } as never).nameservers, ['::1']);
  assert.deepEqual(conf({}, { host: undefined }).searches, ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local']);
});

test('R1, R6: dnsConfig is all with None, and added without doubles to the others; its options win', () => {
  const dnsConfig = {
    nameservers: ['10.96.0.10', '1.1.1.1'],
    searches: ['lan', 'corp'],
    options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
  };
  assert.deepEqual(conf({ dnsPolicy: 'None', dnsConfig }), {
    ...{ nameservers: ['10.96.0.10', '1.1.1.1'], searches: ['lan', 'corp'] },
    options: ['ndots:2', 'edns0'],
    events: [],
  });
  const merged = conf({ dnsConfig });
  assert.deepEqual(merged.nameservers, ['10.96.0.10', '1.1.1.1']);
  assert.deepEqual(merged.searches.slice(3), ['example.org', 'lan', 'corp']);
  assert.deepEqual(merged.options, ['ndots:2', 'edns0']);
});

test('R7: three servers, 32 search domains, 2048 characters; the rest is left out with an event', () => {
  const many = (count: number, length: number): string[] =>
    Array.from({ length: count }, (_, index) => `d${index}`.padEnd(length, 'x'));
  const { nameservers, searches, events } = conf({
    dnsConfig: { nameservers: ['1.1.1.1', '2.2.2.2', '3.3.3.3'], searches: many(40, 8) },
  });
  assert.deepEqual(nameservers, ['10.96.0.10', '1.1.1.1', '2.2.2.2']);
  assert.equal(searches.length, 32);
  assert.deepEqual(
    events.map(({ reason }) => reason),
    ['DNSConfigForming', 'DNSConfigForming'],
  );
  assert.deepEqual(searches.slice(5), many(40, 8).slice(0, 27), 'cut from the end');
  assert.match(events[0]!.message, /^Nameserver limits were exceeded, some have been omitted, the applied line is: 10\.96\.0\.10 1\.1\.1\.1 2\.2\.2\.2$/);
  const long = conf({ dnsConfig: { searches: many(20, 200) } });
  const length = long.searches.join(' ').length;
  assert.ok(length <= 2048 && length + 1 + 200 > 2048, `as many as fit: ${length}`);
  assert.deepEqual(long.searches.slice(5), many(20, 200).slice(0, long.searches.length - 5));
  assert.deepEqual(long.events.map(({ reason }) => reason), ['DNSConfigForming']);
});

test('R10: /etc/hosts has localhost, the addresses with full and short name, and the aliases', () => {
  const pod = { metadata: { name: 'web-0', namespace: 'shop' }, spec: { subdomain: 'web', containers: [] } };
  const fqdn = fqdnOf(pod, 'cluster.local');
  assert.equal(fqdn, 'web-0.web.shop.svc.cluster.local');
  const text = podHosts(['10.0.0.5', 'fd00::5'], hostnameOf(pod), fqdn, [{ ip: '192.0.2.9', hostnames: ['a', 'b'] }]);
  assert.match(text, /^127\.0\.0\.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n/m);
  assert.match(
    text,
    /\n10\.0\.0\.5\tweb-0\.web\.shop\.svc\.cluster\.local\tweb-0\nfd00::5\tweb-0\.web\.shop\.svc\.cluster\.local\tweb-0\n/,
  );
  assert.match(text, /\n192\.0\.2\.9\ta\tb\n$/);
  assert.match(
    hostNetworkHosts('127.0.0.1 localhost\n', [{ ip: '192.0.2.9', hostnames: ['a'] }]),
    /\(host network\)\.\n127\.0\.0\.1 localhost\n\n.*\n192\.0\.2\.9\ta\n$/,
  );
});

test("a host name is the pod's own, without what the kernel does not take", () => {
  const named = (name: string, spec = {}) => hostnameOf({ metadata: { name }, spec: { containers: [], ...spec } });
  assert.equal(named('a', { hostname: 'b' }), 'b');
  assert.equal(named(`${'a'.repeat(62)}-b`), 'a'.repeat(62));
});

test('D13: with setHostnameAsFQDN the kernel has the full name, up to 64 characters; hostnameOverride is all that a pod has, without a name in DNS', () => {
  const of = (name: string, spec: Partial<PodSpec>) => ({ metadata: { name, namespace: 'shop' }, spec: { containers: [], ...spec } });
  const full = of('web-0', { subdomain: 'web', setHostnameAsFQDN: true });
  assert.equal(kernelHostnameOf(full, 'cluster.local'), 'web-0.web.shop.svc.cluster.local');
  assert.equal(kernelHostnameOf(of('web-0', { subdomain: 'web' }), 'cluster.local'), 'web-0');
  assert.equal(kernelHostnameOf(of('web-0', { setHostnameAsFQDN: true }), 'cluster.local'), 'web-0', 'without a subdomain there is no full name');
  const [end, room] = ['.web.shop.svc.cluster.local', 64 - '.web.shop.svc.cluster.local'.length];
  const longest = of('a'.repeat(room), { subdomain: 'web', setHostnameAsFQDN: true });
  assert.equal(kernelHostnameOf(longest, 'cluster.local'), `${'a'.repeat(room)}${end}`);
  const longer = of('a'.repeat(room + 1), { subdomain: 'web', setHostnameAsFQDN: true });
  assert.throws(() => kernelHostnameOf(longer, 'cluster.local'), /is too long \(64 characters is the max, 65 characters requested\)$/);
  const overridden = of('web-0', { hostname: 'other', subdomain: 'web', hostnameOverride: 'host.example.com', setHostnameAsFQDN: true });
  assert.deepEqual([kernelHostnameOf(overridden, 'cluster.local'), fqdnOf(overridden, 'cluster.local')], ['host.example.com', undefined]);
});
