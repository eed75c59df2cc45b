import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type Item, keyOf } from '../reconcile/model.ts';
import type { LocalFacts, RouteNode, RoutesConfig } from './plan.ts';
import { planTunnelDoor, planTunnelPeer, tunnelReasons } from './tunnel-door.ts';

const node = (name: string, addresses: string[], podCidrs: string[]): RouteNode => ({
  name,
  addresses: addresses.map(IpAddr.parse),
  podCidrs: podCidrs.map(Prefix.parse),
});
const self = node('n1', ['172.30.0.11', 'fd30::b'], ['10.244.0.0/24', 'fd00:10:244::/64']);
const peers = [
  node('n2', ['172.30.0.12', 'fd30::c'], ['10.244.1.0/24', 'fd00:10:244:1::/64']),
  node('n3', ['172.30.0.13', '172.31.0.13'], ['10.244.16.0/20']),
] as const;
const local: LocalFacts = { uplink: 'eth0', onLink: [], uplinkMtu: 1500, underlay: ['eth0'] };
const config: RoutesConfig = {
  families: ['ipv4', 'ipv6'],
  backend: 'auto',
  serviceCidrs: [],
  clusterDns: [],
  vxlan: { id: 1, port: 4789 },
};

const elements = (items: readonly Item[]): string[] =>
  items.flatMap((item) => (item.kind === 'nft-element' ? [`${item.set}: ${item.key}`] : []));
const whole = (of = self, given = config, links = local): Item[] => [
  ...planTunnelDoor(of, [of, ...peers], links, given),
  ...peers.flatMap((peer) => planTunnelPeer(peer, of, given)),
];

test('T15: a node is let in by all of its addresses of the tunnels\' family, each with its own pod CIDRs and no others', () => {
  assert.deepEqual(elements(whole()).sort(), [
    'tunnel-networks4-20: 10.244.16.0',
    'tunnel-networks4-24: 10.244.0.0',
    'tunnel-networks4-24: 10.244.1.0',
    'tunnel-networks6-64: fd00:10:244:1::',
    'tunnel-networks6-64: fd00:10:244::',
    'tunnel4-nodes: 172.30.0.12',
    'tunnel4-nodes: 172.30.0.13',
    'tunnel4-nodes: 172.31.0.13',
    'tunnel4-pods4-20: 172.30.0.13 . 10.244.16.0',
    'tunnel4-pods4-20: 172.31.0.13 . 10.244.16.0',
    'tunnel4-pods4-24: 172.30.0.12 . 10.244.1.0',
    'tunnel4-pods6-64: 172.30.0.12 . fd00:10:244:1::',
  ]);
  const six = { ...config, families: ['ipv6', 'ipv4'] as const };
  assert.deepEqual(elements(whole(node('n1', ['fd30::b'], []), six)).filter((text) => /^tunnel6-/.test(text)), [
    'tunnel6-nodes: fd30::c',
    'tunnel6-pods4-24: fd30::c . 10.244.1.0',
    'tunnel6-pods6-64: fd30::c . fd00:10:244:1::',
  ]);
});

test('T15: every chain, set and counter of the door of the tunnel is there, and there is none where no tunnel is', () => {
  for (const links of [local, { ...local, underlay: undefined }]) {
    const items = whole(self, config, links as LocalFacts);
    const keys = new Set(items.map(keyOf));
    const counted = new Set<string>();
    for (const item of items) {
      if (item.kind === 'nft-element') assert.ok(keys.has(`nft-set ${item.set}`), item.set);
      if (item.kind !== 'nft-chain') continue;
      for (const expression of item.rules.flatMap((rule) => rule.expressions)) {
        if (expression.name === 'lookup') assert.ok(keys.has(`nft-set ${expression.set}`), expression.set);
        if (expression.name === 'objref') counted.add(expression.object!);
        const target = expression.name === 'immediate' ? /^goto (.*)$/.exec(expression.data ?? '')?.[1] : undefined;
        if (target !== undefined) assert.ok(keys.has(`nft-chain ${target}`), target);
      }
    }
    assert.deepEqual([...counted].sort(), Object.keys(tunnelReasons).sort());
  }
  assert.deepEqual(whole(self, { ...config, backend: 'direct' }), []);
  assert.deepEqual(whole(node('n1', [], ['10.244.0.0/24'])), [], 'it has no end of a tunnel');
});

test('what is asked of a packet is the same for any number of nodes with pod CIDRs of the same lengths', () => {
  const chains = (count: number): Item[] => {
    const nodes = Array.from({ length: count }, (_, n) => node(`p${n}`, [`172.30.1.${n}`], [`10.245.${n}.0/24`, `fd00:10:245:${n}::/64`]));
    return planTunnelDoor(self, [self, ...nodes], local, config).filter(({ kind }) => kind === 'nft-chain');
  };
  assert.deepEqual(chains(200), chains(1));
});

test('IPv6 that is not served does not come in', () => {
  const items = whole(self, { ...config, families: ['ipv4'] });
  assert.ok(!items.some((item) => 'name' in item && /6-/.test(item.name)));
  assert.ok(!elements(items).some((text) => text.includes('::')));
});
