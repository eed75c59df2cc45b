import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachModes } from '../../links/index.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { Reconciler } from '../../reconcile/index.ts';
import { Door } from '../attach/door.ts';
import { parseSettings } from '../settings.ts';
import { agentConfig } from '../testkit/config.ts';
import type { NodeView } from '../watch/views.ts';
import type { NodeFacts } from './facts.ts';
import { NodeNetwork } from './network.ts';

const facts: NodeFacts = {
  self: {
    name: 'me',
    addresses: ['192.0.2.1', '2001:db8::1'].map(IpAddr.parse),
    podCidrs: ['10.1.0.0/24', 'fd01::/64'].map(Prefix.parse),
  },
  local: { uplink: 'eth0', onLink: ['192.0.2.0/24', '2001:db8::/64'].map(Prefix.parse), uplinkMtu: 1500 },
  zone: undefined,
  nodePortAddresses: [],
  problems: [],
};

const peer = (n: number, addresses = [`192.0.2.${n}`, `2001:db8::${n}`]): NodeView => ({
  name: `node-${n}`,
  zone: undefined,
  addresses: addresses.map(IpAddr.parse),
  podCidrs: [`10.1.${n}.0/24`, `fd01:0:0:${n}::/64`].map(Prefix.parse),
  balances: true,
  dnsReady: true,
  faults: [],
  asPeer: { name: `node-${n}`, labels: {}, addresses: addresses.map(IpAddr.parse) },
});

/** A network whose contributions are written down by owner. */
function network(): { network: NodeNetwork; planned: () => string[]; reconciler: Reconciler } {
  const reconciler = new Reconciler([]);
  const contribute = reconciler.contribute.bind(reconciler);
  let owners: string[] = [];
  reconciler.contribute = (owner, items, options) => {
    owners.push(owner);
    contribute(owner, items, options);
  };
  const planned = (): string[] => {
    const all = owners;
    owners = [];
    return all;
  };
  const settings = parseSettings({ ...agentConfig(), kubeconfig: '/k' });
  return {
    network: new NodeNetwork(
      reconciler,
      settings,
      new Door(attachModes[settings.attach], { supports: () => true, counters: () => new Map() }),
    ),
    planned,
    reconciler,
  };
}

test('many nodes that come at once are planned once each, and what depends on all of them once', () => {
  const { network: nodes, planned } = network();
  nodes.setSelf(facts);
  planned();
  for (let n = 2; n < 52; n++) nodes.setPeer(peer(n));
  nodes.planPeers();
  const owners = planned();
  assert.equal(owners.filter((owner) => owner === 'egress').length, 1);
  assert.equal(owners.filter((owner) => owner.startsWith('node ')).length, 50);
  nodes.setPeer(peer(7));
  nodes.planPeers();
  assert.deepEqual(
    planned().filter((owner) => owner.startsWith('node ')),
    ['node node-7'],
  );
  nodes.planPeers();
  assert.deepEqual(planned(), []);
});

test('the first node behind a tunnel lowers the MTU of pods, and with it every route to others', () => {
  const { network: nodes, planned, reconciler } = network();
  for (const n of [2, 3]) nodes.setPeer(peer(n));
  nodes.planPeers();
  assert.deepEqual(planned(), [], 'nothing is planned before the node itself is known');
  nodes.setSelf(facts);
  assert.equal(nodes.linkNode?.podMtu, 1500);
  planned();
  nodes.setPeer(peer(4, ['198.51.100.4', '2001:db8:1::4']));
  nodes.planPeers();
  assert.equal(nodes.linkNode?.podMtu, 1450);
  assert.equal(planned().filter((owner) => owner.startsWith('node ')).length, 3);
  nodes.deletePeer('node-4');
  nodes.planPeers();
  assert.equal(nodes.linkNode?.podMtu, 1500);
  assert.ok(!reconciler.network().has('route 254 10.1.4.0/24'));
  assert.ok(reconciler.network().has('route 254 fd01:0:0:3::/64'));
});

test('F27: of two other nodes with the same pod CIDR the route leads to the older, and to the other when that is gone', () => {
  const { network: nodes, reconciler } = network();
  nodes.setSelf(facts);
  const twin = { ...peer(3), podCidrs: peer(2).podCidrs, created: '2026-01-02T00:00:00Z' };
  nodes.setPeer(twin);
  nodes.setPeer({ ...peer(2), created: '2026-01-01T00:00:00Z' });
  nodes.planPeers();
  const gateway = (): string => {
    const item = reconciler.network().get('route 254 10.1.2.0/24');
    return item?.kind === 'route' ? String(item.gateway) : 'none';
  };
  assert.equal(gateway(), '192.0.2.2');
  assert.match(
    nodes.problems.join(),
    /^the pod CIDR 10\.1\.2\.0\/24 of node node-3 overlaps 10\.1\.2\.0\/24 of node node-2, which had it before; give node node-3 another/,
  );
  assert.equal(nodes.clash, undefined, 'it is not for this node to stop');
  nodes.deletePeer('node-2');
  nodes.planPeers();
  assert.equal(gateway(), '192.0.2.3');
  assert.deepEqual(nodes.problems, []);
  assert.deepEqual(reconciler.status('node node-3')?.state, 'pending');
});
