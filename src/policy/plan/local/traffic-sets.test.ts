import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../../net/ip.ts';
import { readPolicy } from '../../policies.ts';
import { networkPolicy } from '../../testkit/objects.ts';
import { PlannedElements } from '../../testkit/planned-elements.ts';
import { PolicyPlanner } from '../index.ts';
import { type TrafficId, TrafficSets } from './traffic-sets.ts';

const tcp = (from: number, to = from) => ({ protocol: 'TCP' as const, from, to });

test('sets that are not in use are forgotten, their numbers given again, and those in use stay what they are', () => {
  const sets = new TrafficSets(0);
  const [web, dns] = [sets.range(tcp(80)), sets.range(tcp(53))];
  const both = sets.union(web, dns);
  assert.deepEqual([sets.size, sets.isFull], [5, true]);
  sets.keepOnly(new Set([both]));
  assert.deepEqual([sets.size, sets.isFull], [3, false]);
  assert.deepEqual(sets.rangesOf(both), [tcp(53), tcp(80)]);
  const other = sets.range(tcp(9000, 9100));
  assert.ok([web, dns].includes(other), 'a number that was free');
  // Nothing is remembered of what the number stood for.
  assert.deepEqual(sets.rangesOf(sets.union(other, sets.range(tcp(53)))), [tcp(53), tcp(9000, 9100)]);
  assert.equal(sets.union(sets.range(tcp(80)), sets.range(tcp(53))), both);
  assert.deepEqual(sets.rangesOf(sets.minus(both, sets.range(tcp(80)))), [tcp(53)]);
  assert.equal(sets.hasPortless(sets.complement(both)), true);
});

test('policies that come and go with ever other ports leave nothing behind', () => {
  const traffic = new TrafficSets(1000);
  const node = { name: 'n1', podLinks: { group: 1 }, podCidrs: [] };
  const planner = new PolicyPlanner({ node, held: new Map(), traffic });
  const elements = new PlannedElements();
  const pod = (n: number) => ({
    ...{ namespace: 'shop', name: `p${n}`, labels: { n: `${n}` }, hostNetwork: false, ended: false, ports: [], node: 'n1' },
    addresses: [IpAddr.parse(`10.0.0.${n}`), IpAddr.parse(`fd00::${n}`)],
  });
  for (const n of [1, 2]) planner.setPod(pod(n));
  const steady = { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { n: '2' } } }], ports: [{ port: 7 }] }] };
  planner.setPolicy(readPolicy(networkPolicy('shop/steady', steady))!);
  let most = 0;
  for (let i = 0; i < 3000; i++) {
    const ports = [{ port: 1000 + i }, { port: 10_000 + 2 * i, endPort: 10_100 + 2 * i }];
    const changing = readPolicy(networkPolicy('shop/changing', { podSelector: {}, ingress: [{ ports }], egress: [{ ports }] }))!;
    planner.setPolicy(changing);
    elements.take(planner);
    most = Math.max(most, traffic.size);
    const packet = { source: IpAddr.parse('10.0.0.2'), destination: IpAddr.parse('10.0.0.1'), protocol: 'TCP' as const };
    if (i % 100 !== 99) continue;
    const heard = [7, 1000 + i, 999 + i, 10_100 + 2 * i, 10_101 + 2 * i].map((port) => elements.allows('ingress', { ...packet, port }));
    assert.deepEqual(heard, [true, true, false, true, false]);
  }
  assert.ok(most < 600, `${most} sets`);
});

test('what many rules allow to one peer is found again when the sets of it were forgotten', () => {
  class EagerSets extends TrafficSets {
    override get isFull(): boolean {
      return true;
    }
  }
  const node = { name: 'n1', podLinks: { group: 1 }, podCidrs: [] };
  const planner = new PolicyPlanner({ node, held: new Map(), traffic: new EagerSets() });
  const elements = new PlannedElements();
  const setPod = (n: number, labels: Record<string, string>): void =>
    planner.setPod({
      ...{ namespace: 'shop', name: `p${n}`, labels, hostNetwork: false, ended: false, ports: [], node: n === 1 ? 'n1' : 'n2' },
      addresses: [IpAddr.parse(`10.0.0.${n}`)],
    });
  setPod(1, {});
  for (const [first, label] of [[100, 'a'], [200, 'b']] as const)
    for (let port = first; port < first + 10; port++) {
      const from = [{ podSelector: { matchLabels: { [label]: '' } } }];
      planner.setPolicy(readPolicy(networkPolicy(`shop/np${port}`, { podSelector: {}, ingress: [{ from, ports: [{ port }] }] }))!);
    }
  const hears = (n: number): number[] =>
    [99, 100, 109, 200, 209].filter((port) =>
      elements.allows('ingress', { source: IpAddr.parse(`10.0.0.${n}`), destination: IpAddr.parse('10.0.0.1'), protocol: 'TCP', port }),
    );
  setPod(2, { a: '', b: '' });
  elements.take(planner);
  assert.deepEqual(hears(2), [100, 109, 200, 209]);
  for (const [n, label] of [[3, 'a'], [4, 'b']] as const) {
    setPod(n, { [label]: '' });
    elements.take(planner);
  }
  assert.deepEqual([hears(3), hears(4)], [[100, 109], [200, 209]]);
});

test('thousands of ranges of many sets together are what they are one by one', () => {
  const sets = new TrafficSets();
  const protocols = ['TCP', 'UDP', 'SCTP'] as const;
  const ids = Array.from({ length: 60 }, (_, i) =>
    sets.ranges([
      ...Array.from({ length: 100 }, (_, j) => {
        const from = (i * 7919 + j * 641) % 65_500;
        return { protocol: protocols[(i + j) % 3]!, from, to: from + ((i * j) % 40) };
      }),
      ...(i === 9 ? [{ protocol: 'UDP' as const, from: 0, to: 3 }, { protocol: 'SCTP' as const, from: 65_500, to: 65_535 }] : []),
    ]),
  );
  const step = (some: readonly TrafficId[]): TrafficId => some.reduce((all, one) => sets.union(all, one), TrafficSets.nothing);
  assert.ok(sets.rangesOf(step(ids)).length > 1000);
  for (const some of [ids, ids.slice(1), ids.toReversed().slice(0, 50)]) assert.equal(sets.unionAll(some), step(some));
  const portless = sets.complement(sets.ranges(protocols.map((protocol) => ({ protocol, from: 0, to: 65_535 }))));
  assert.equal(sets.unionAll([...ids, portless]), step([...ids, portless]));
  assert.ok(sets.hasPortless(sets.unionAll([...ids, portless])));
});
