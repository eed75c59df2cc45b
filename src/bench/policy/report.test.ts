import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readWorld } from '../../policy/read-world.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { families, IpAddr } from '../../net/ip.ts';
import type { ChangeKind, ChangeRow } from './changes.ts';
import { checksOf } from './checks.ts';
import { localPods, objectsOf, policyRow, serverPort } from './cluster.ts';
import { ipsetText, iptablesText } from './iptables-layout.ts';
import { pictureOf } from './picture.ts';
import type { TransactionKind } from './policy-node.ts';
import { reportOf, textOf } from './report.ts';
import type { TrafficSample } from './traffic.ts';

const spread = (median: number) => ({ median, least: median, most: median });
const kinds: readonly TransactionKind[] = ['allowed', 'denied', 'mixed', 'request'];
const traffic = (ratio: number, of: Partial<TrafficSample>): TrafficSample[] =>
  kinds.map((kind) => ({
    ...{ series: 'IPv4', title: 'a node', policies: 0, isNull: false, isPodnet: false, kind, transactions: 1, cpuUs: spread(10), relative: spread(ratio) },
    ...of,
  }));
const change = (kind: ChangeKind, kernel: number, packets: number): ChangeRow => ({
  ...{ kind, events: 2, kernelMs: spread(kernel), packetsMs: spread(packets), planMs: 1, elements: 1 },
});

test('each figure that must be shown is a check, and one that is missed or was not measured fails', () => {
  const good = ['IPv4', 'IPv6'].flatMap((series) => [
    ...[...traffic(0.98, { series, isNull: true }), ...traffic(9, { series, policies: 10_000 })],
    ...traffic(1.04, { series, policies: 10_000, isPodnet: true }),
  ]);
  const changes = [change('pod-label', 5, 6), change('namespace-label', 500, 600), change('policy', 1, 1)];
  const checks = checksOf(good, changes, 10_000);
  assert.deepEqual([checks.length, checks.filter(({ ok }) => !ok)], [12, []]);
  const alone = checksOf(good.filter(({ series }) => series === 'IPv4'), changes, 10_000);
  assert.deepEqual(alone.filter(({ ok }) => !ok).map(({ name }) => name.slice(0, 4)), ['IPv6', 'IPv6', 'IPv6', 'IPv6']);
  assert.equal(checksOf([], [], 10_000).filter(({ ok }) => ok).length, 0);
  assert.equal(checksOf([], [], 100).length, 0);
  const bad = [...traffic(1.04, { isNull: true }), ...traffic(1.06, { policies: 10_000, isPodnet: true })];
  const slow = [change('pod-label', 101, 102), change('namespace-label', 1001, 1002)];
  assert.equal(checksOf(bad, slow, 10_000).filter(({ ok }) => ok).length, 0);
});

test('a peer that is missing is told among the checks', () => {
  const machine = { cores: 2, processor: 'a processor', memoryGb: 4, kernel: '6.18', node: 'v20' };
  const missing = [{ name: 'iptables-legacy', why: 'it is not there' }];
  const sample = traffic(1, {});
  const report = reportOf({ machine, loadAverages: [1], traffic: sample, loaded: undefined, changes: [], peers: [], missing, most: 0 });
  assert.deepEqual([report.bench, report.ok, report.checks.length], ['policy', false, 1]);
  assert.match(textOf(report), /✗ +peer: iptables-legacy +it is not there/);
  assert.match(pictureOf(report), /10\.0 us/);
});

test('pairs are allowed and denied as the policies of the cluster say, at each number of policies', () => {
  for (const [policies, family] of [0, 1, 100, 1500].flatMap((count) => families.map((one) => [count, one] as const))) {
    const pods = localPods(policies, 8, family);
    const world = readWorld([...objectsOf(policies, pods, 'shop', family)]);
    for (const from of pods.filter(({ side }) => side === 'client'))
      for (const to of pods.filter(({ side }) => side === 'server')) {
        const [source, destination] = [IpAddr.parse(from.address), IpAddr.parse(to.address)];
        const { allowed } = evaluate(world, { source, destination, protocol: 'TCP', port: serverPort });
        assert.equal(allowed, policies === 0 || !(from.isStranger || to.isStranger), `${policies}: ${from.name} to ${to.name}`);
      }
  }
});

test("iptables' layout has a rule for each peer of each policy in two chains for each pod, and a set for each app", () => {
  const pods = localPods(1200, 2);
  const text = iptablesText(1200, pods);
  assert.equal(text.match(/^-A POD-\S+ .*--match-set/gm)?.length, pods.length * 2 * 1200);
  assert.equal(text.match(/^-A POD-\S+ -j DROP$/gm)?.length, pods.length * 2);
  assert.equal(ipsetText(1200, [['10.0.0.1', 'app-7'], ['10.0.0.2', 'stranger']]).match(/^add peers-app-7 10\.0\.0\.1$|^add .*10\.0\.0\.2/gm)?.length, 1);
  // Early and late policies alike allow the port that servers listen on.
  const places = Array.from({ length: 10_000 }, (_, i) => i).filter((i) => policyRow(i, 10_000).port === serverPort);
  assert.deepEqual([places.length, new Set(places.map((i) => i % 500)).size], [500, 500]);
});
