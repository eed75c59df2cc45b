import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type Item, keyOf } from '../reconcile/model.ts';
import {
  type LocalFacts,
  planPeer,
  planSelf,
  podMtu,
  problemsOfSelf,
  type RouteNode,
  type RoutesConfig,
  vxlanMac,
} from './plan.ts';

const node = (name: string, addresses: string[], podCidrs: string[]): RouteNode => ({
  name,
  addresses: addresses.map(IpAddr.parse),
  podCidrs: podCidrs.map(Prefix.parse),
});
const self = node('n1', ['172.30.0.11', 'fd30::b'], ['10.244.0.0/24', 'fd00:10:244::/64']);
const near = node('n2', ['172.30.0.12', 'fd30::c'], ['10.244.1.0/24', 'fd00:10:244:1::/64']);
const far = node('n3', ['172.30.1.13', 'fd30:0:0:1::d'], ['10.244.2.0/24', 'fd00:10:244:2::/64']);
const local: LocalFacts = { uplink: 'eth0', onLink: ['172.30.0.0/24', 'fd30::/64'].map(Prefix.parse), uplinkMtu: 1500 };
const config: RoutesConfig = {
  families: ['ipv4', 'ipv6'],
  backend: 'auto',
  serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'].map(Prefix.parse),
  clusterDns: [IpAddr.parse('10.96.0.10')],
  vxlan: { id: 1, port: 4789 },
};

/** Routes as `ip route` prints them, roughly. */
const routes = (items: readonly Item[]): string[] =>
  items.flatMap((item) =>
    item.kind === 'route'
      ? [
          [
            item.type === 'unicast' ? '' : `${item.type} `,
            item.destination,
            item.gateway ? ` via ${item.gateway}` : '',
            item.link ? ` dev ${item.link}` : '',
            item.source ? ` src ${item.source}` : '',
            item.onlink ? ' onlink' : '',
          ].join(''),
        ]
      : [],
  );

test('NM3: a node on the same link is reached directly, in both families, with the own address as source', () => {
  const { items, problems } = planPeer(near, self, local, config);
  assert.deepEqual(routes(items), [
    '10.244.1.0/24 via 172.30.0.12 dev eth0 src 172.30.0.11',
    'fd00:10:244:1::/64 via fd30::c dev eth0 src fd30::b',
  ]);
  assert.deepEqual([items.length, problems], [2, []]);
});

test('a node on another link is reached through the tunnel, with nothing left to learn', () => {
  const { items } = planPeer(far, self, local, config);
  assert.deepEqual(routes(items), [
    '10.244.2.0/24 via 10.244.2.0 dev podnet-vxlan src 172.30.0.11 onlink',
    'fd00:10:244:2::/64 via fd00:10:244:2:: dev podnet-vxlan src fd30::b onlink',
  ]);
  const mac = vxlanMac(far.addresses[0]!);
  assert.equal(new Set(items.map(keyOf)).size, items.length);
  const entries = items.filter((item) => item.kind === 'fdb' || item.kind === 'neighbour');
  assert.ok(entries.every((entry) => entry.mac.equals(mac)));
  assert.deepEqual(
    new Set(entries.map(keyOf)),
    new Set([`fdb podnet-vxlan ${mac}`, 'neighbour podnet-vxlan 10.244.2.0', 'neighbour podnet-vxlan fd00:10:244:2::']),
  );
});

test('the peer makes its tunnel device with the very MAC that others send to', () => {
  const link = planSelf(far, { ...local, onLink: [] }, config).find((item) => item.kind === 'link' && item.type === 'vxlan');
  const mac = link?.kind === 'link' ? link.mac : undefined;
  assert.equal(String(mac), String(vxlanMac(far.addresses[0]!)));
  assert.equal((mac?.bytes[0] ?? 0) & 3, 2, 'locally administered, unicast');
});

test('with backend direct a node on another link is a problem told by name, not a route into nowhere', () => {
  const { items, problems } = planPeer(far, self, local, { ...config, backend: 'direct' });
  assert.deepEqual(items, []);
  assert.match(
    problems[0]!,
    /node n3 has no ipv4 address on the links of n1 \(172\.30\.0\.0\/24, fd30::\/64\).*use auto or vxlan/,
  );
});

test('IPv6 pods cross an IPv4 underlay through the tunnel', () => {
  const peers = [node('a', ['172.30.0.11'], ['fd00:10:244::/64']), node('b', ['172.30.0.12'], ['fd00:10:244:1::/64'])] as const;
  const { items, problems } = planPeer(peers[1], peers[0], local, config);
  assert.deepEqual([routes(items), problems], [['fd00:10:244:1::/64 via fd00:10:244:1:: dev podnet-vxlan onlink'], []]);
});

test('NM8: the MTU of pods is lowered by the tunnel and by nothing else', () => {
  const mtu = (peers: RouteNode[], backend: RoutesConfig['backend'], from = self): number =>
    podMtu(from, peers, local, { ...config, backend });
  assert.equal(mtu([near], 'auto'), 1500);
  assert.equal(mtu([near, far], 'auto'), 1450);
  assert.equal(mtu([], 'vxlan'), 1450);
  assert.equal(mtu([near, far], 'direct'), 1500);
  assert.equal(mtu([], 'vxlan', node('six', ['fd30::b'], ['fd00:10:244::/64'])), 1430);
});

test('NM8: where pods have less than the link, the direct routes to their peers say so', () => {
  const mtus = (mtu?: number) => planPeer(near, self, local, config, mtu).items.map((item) => item.kind === 'route' && item.mtu);
  assert.deepEqual(mtus(1450), [1450, 1450]);
  assert.deepEqual(mtus(1500), [undefined, undefined]);
});

test('unassigned pod addresses, Service addresses and the DNS address never leave the node', () => {
  const items = planSelf(self, local, config);
  assert.deepEqual(routes(items), [
    'unreachable 10.244.0.0/24',
    'unreachable fd00:10:244::/64',
    '10.96.0.0/16 dev podnet-svc src 172.30.0.11',
    'fd00:10:96::/112 dev podnet-svc src fd30::b',
    'local 10.96.0.10/32 dev lo src 172.30.0.11',
  ]);
});

test('forwarding is on for the served families, and router advertisements are kept where they were accepted', () => {
  const sysctls = (facts: LocalFacts, families = config.families): string[] =>
    planSelf(self, facts, { ...config, families }).flatMap((item) =>
      item.kind === 'sysctl' && !item.name.includes('/podnet-') ? [`${item.name}=${item.value}`] : [],
    );
  assert.deepEqual(sysctls(local), ['net/ipv4/ip_forward=1', 'net/ipv6/conf/all/forwarding=1']);
  assert.deepEqual(sysctls({ ...local, acceptRa: 1 }, ['ipv6']), [
    'net/ipv6/conf/eth0/accept_ra=2',
    'net/ipv6/conf/all/forwarding=1',
  ]);
});

test("F27: a pod CIDR that overlaps the node's own is told and gets no route; what is wrong with the own is told", () => {
  for (const cidr of ['10.244.0.0/24', '10.244.0.0/16', '10.244.0.128/25']) {
    const { items, problems } = planPeer(node('n4', ['172.30.0.14'], [cidr, 'fd00:10:244:4::/64']), self, local, config);
    assert.deepEqual(
      items.flatMap((item) => (item.kind === 'route' ? [`${item.destination}`] : [])),
      ['fd00:10:244:4::/64'],
    );
    assert.match(problems[0]!, new RegExp(`10.244.0.0/24 of this node overlaps ${cidr} of node n4`));
  }
  const both = planPeer(node('n4', ['172.30.0.14', 'fd30::e'], ['10.244.0.0/24', 'fd00:10:244:4::/64']), self, local, config);
  assert.deepEqual(routes(both.items), ['fd00:10:244:4::/64 via fd30::e dev eth0 src fd30::b']);
  assert.deepEqual(problemsOfSelf(self, local, config), []);
  const wrong = node('n1', [], ['10.0.0.0/8', 'fd30::/96']);
  assert.deepEqual(
    problemsOfSelf(wrong, local, config).map((line) => line.replace(/[:;,].*/, '')),
    ['the pod CIDR 10.0.0.0/8 overlaps the Service CIDR 10.96.0.0/16', 'the pod CIDR fd30'],
  );
});
