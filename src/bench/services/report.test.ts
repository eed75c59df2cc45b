import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksOf } from './checks.ts';
import { type ChangeKind, changeKinds, Changes } from './changes.ts';
import { iptablesLayout } from './iptables-layout.ts';
import type { ChangeSample, Load } from './measure.ts';
import { nftLayout } from './nft-layout.ts';
import { endpointsOf, firstEndpointOf, slicedAddresses, slicesOf } from '../objects.ts';
import { pictureOf } from './picture.ts';
import { sizesUpTo } from './plan.ts';
import { reportOf, rowsOf, textOf } from './report.ts';
import type { TrafficSample } from './traffic.ts';

const spent = { planUs: 1, writeUs: 1, elements: 4, transactions: 1 };
const sample = (services: number, kind: ChangeKind, ms: number, kernelUs: number): ChangeSample => ({
  ...{ size: { services, endpoints: 10 * services }, kind, round: 1 },
  ...{ timed: [{ ...spent, ms, kernelUs }], inARowUs: [kernelUs] },
});
const memory = { rssMb: 100, peakMb: 100, heapMb: 50 };
const load = (coldMs: number, laterMb: number): Load => ({
  ...{ size: { services: 10_000, endpoints: 100_000 }, coldMs, listMs: coldMs, spent: { ...spent, kernelUs: 1 }, cpuMs: 1 },
  ...{ memory, later: { ...memory, rssMb: laterMb }, checkMs: 1 },
});
const spread = (median: number) => ({ median, least: median, most: median });
const traffic = (services: number, isNull: boolean, ratio: number): TrafficSample => ({
  ...{ title: '', services, isNull, connections: 1, perSecond: spread(1), p50Us: 1, p99Us: 1, cpuUs: spread(1), relative: spread(ratio) },
});
const failed = (checks: ReturnType<typeof checksOf>): string[] => checks.filter(({ ok }) => !ok).map(({ name }) => name);

test('each figure that must be shown is a check, and one that is missed or was not measured fails', () => {
  const users = [
    [5006, 250_011],
    [44_128, 88_256],
  ].map(([services, endpoints]) => ({ services: services!, endpoints: endpoints! }));
  const changes = changeKinds.flatMap((kind) => [sample(100, kind, 1, 50), sample(10_000, kind, 1.4, 60)]);
  const rows = rowsOf([...changes, ...users.map((size) => ({ ...changes[0]!, size }))]);
  const loads = [load(1900, 190), ...users.map((size) => ({ ...load(5000, 400), size }))];
  const good = { rows, loads, traffic: [traffic(1, true, 1.01), traffic(50_000, false, 1.02)], most: 50_000 };
  const count = 5 * changeKinds.length + 1 + 2 + 2 + 2;
  assert.equal(checksOf(good).length, count);
  assert.deepEqual(failed(checksOf(good)), []);
  assert.equal(failed(checksOf({ rows: [], loads: [], traffic: [], most: 50_000 })).length, count);
  assert.deepEqual(checksOf({ rows: [], loads: [], traffic: [], most: 1000 }), []);
  const slow = rowsOf([...changes.filter(({ kind }) => kind !== 'add'), sample(100, 'add', 1, 50), sample(10_000, 'add', 6, 120), sample(10_000, 'replace', 1001, 50)]);
  assert.deepEqual(failed(checksOf({ ...good, rows: [...slow, ...rows.slice(-2)] })).sort(), [
    'SD29: changes of endpoints at 10,000 Services, event to kernel, p99',
    'add at 10,000 Services, event to kernel, p50',
    'add at 10,000 Services, kernel, alone, p50',
    'add at 10,000 Services, kernel, one after the other, p50',
    'add at 10,000 Services, of that at 100, event to kernel',
    'add at 10,000 Services, of that at 100, kernel',
    'replace at 10,000 Services, event to kernel, p50',
    'replace at 10,000 Services, of that at 100, event to kernel',
  ].sort());
  assert.equal(failed(checksOf({ ...good, loads: [load(2100, 210), ...loads.slice(1)] })).length, 2);
  const off = [traffic(1, true, 0.95), traffic(50_000, false, 1.04)];
  assert.equal(failed(checksOf({ ...good, traffic: off })).length, 2);
});

test('a peer that is missing and a size that could not be measured are told among the checks', () => {
  const machine = { cores: 2, processor: 'a processor', memoryGb: 4, kernel: '6.18', node: 'v20' };
  const size = { services: 44_128, endpoints: 88_256 };
  const changes = [sample(100, 'replace', 1.5, 50)];
  const measured = { loads: [], changes, skipped: [], failed: [{ size, why: 'it ended' }], loadAverages: [1] };
  const report = reportOf({ machine, measured, peers: [], missing: ['nft'], traffic: [], most: 1000 });
  assert.deepEqual([report.bench, report.ok, report.checks.length], ['services', false, 2]);
  assert.match(textOf(report), /✗ +44,128 Services, 88,256 endpoints +it ended/);
  assert.match(pictureOf(report), /1\.50 ms/);
});

test('endpoints are shared out whole, each once, a hundred to a slice', () => {
  const size = { services: 5006, endpoints: 250_011 };
  let sum = 0;
  for (let service = 0; service < size.services; service++) {
    assert.equal(firstEndpointOf(size, service), sum);
    sum += endpointsOf(size, service);
  }
  assert.equal(sum, size.endpoints);
  const addresses = [...slicesOf({ services: 3, endpoints: 700 })].flatMap(({ endpoints }) => endpoints!.map((one) => one.addresses[0]!));
  assert.equal(new Set(addresses).size, 700);
  assert.deepEqual(slicedAddresses({ services: 1, endpoints: 250 }, 0).map(({ length }) => length), [100, 100, 50]);
  assert.ok(sizesUpTo(50_000).skipped.every(({ endpoints }) => endpoints > 500_000));
});

test('a change that is taken back leaves the cluster as it was', () => {
  const changes = new Changes({ services: 100, endpoints: 1000 });
  for (const kind of changeKinds) {
    const lines = changes.next(kind);
    assert.equal(lines.filter(({ isMeasured }) => isMeasured).length, kind === 'replace' ? 2 : 1);
    const last = lines.at(-1)!;
    if (kind === 'add' || kind === 'remove') assert.equal(last.type, 'DELETED');
    else assert.equal((JSON.parse(last.line) as { endpoints: unknown[] }).endpoints.length, 10);
  }
});

test('the layouts of kube-proxy have a chain for each Service and each endpoint', () => {
  const size = { services: 4, endpoints: 12 };
  assert.equal(nftLayout.load(size).match(/^add chain ip kube-proxy (service|endpoint)-/gm)?.length, 16);
  assert.equal(iptablesLayout.load(size).match(/^:KUBE-(SVC|SEP)-/gm)?.length, 16);
  assert.match(nftLayout.change(size, 'replace', 0), /^flush chain ip kube-proxy service-3$/m);
  assert.match(iptablesLayout.change(size, 'remove', 0), /^-X KUBE-SVC-/m);
});
