import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from '../model.ts';
import { readPolicy } from '../policies.ts';
import { networkPolicy } from '../testkit/objects.ts';
import { withinLimits } from './limits.ts';
import { portLimit } from './ports.ts';

const notApp = (i: number) => ({ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: [`a${i}`] }] } });
const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } });
const read = (name: string, spec: object): Policy => readPolicy(networkPolicy(`shop/${name}`, { podSelector: {}, ...spec }))!;
const sizeOf = (policies: readonly Policy[], most = 0): number => portLimit.sizeOf(policies.flatMap(portLimit.claimsOf), most).size;
const closedOf = ({ rules }: Policy): number => (rules.ingress ?? []).filter(({ closed }) => closed !== undefined).length;
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const ports = (from: number, count: number) => times(count, (i) => ({ port: from + 2 * i }));

test('lists of ports that may come together count by their combinations, and never by more than there are kinds of pods', () => {
  const rules = (count: number, each: number) => times(count, (i) => ({ from: [notApp(i)], ports: ports(1 + 2 * each * i, each) }));
  assert.equal(sizeOf([read('p', { ingress: rules(1, 1000) })]), 2000);
  assert.equal(sizeOf([read('p', { ingress: rules(3, 10) })]), 8 * 30);
  assert.equal(sizeOf([read('p', { ingress: rules(100, 1) })]), 10_000 * 100);
  // Each direction has its own.
  assert.equal(sizeOf([read('p', { ingress: rules(3, 10), egress: [{ to: [notApp(1)], ports: ports(1, 1) }] })]), 8 * 30 + 2);
  // A long range is one element, a short one each of its ports.
  assert.equal(sizeOf([read('p', { ingress: [{ from: [notApp(1)], ports: [{ port: 1, endPort: 9 }, { port: 20, endPort: 27 }] }] })]), 2 * 9);
  // Without ports all is allowed, and there is no list.
  assert.equal(sizeOf([read('p', { ingress: times(100, (i) => ({ from: [notApp(i)] })) })]), 0);
});

test('rules for different values of one label do not come together, by their peers and by their subjects', () => {
  const own = (i: number) => ({ ports: [{ port: 1000 + i }] });
  assert.equal(sizeOf([read('p', { ingress: times(1000, (i) => ({ from: [app(`a${i}`)], ...own(i) })) })]), 2);
  assert.equal(sizeOf(times(1000, (i) => read(`p${i}`, { podSelector: app(`a${i}`).podSelector, ingress: [{ from: [notApp(1)], ...own(i) }] }))), 2);
  const block = (i: number) => ({ ipBlock: { cidr: `10.${i >> 8}.${i & 255}.0/24` } });
  assert.equal(sizeOf([read('p', { egress: times(1000, (i) => ({ to: [block(i)], ...own(i) })) })]), 2);
  // Networks that lie over each other do, and come together with whatever is said of pods that are in them.
  assert.equal(sizeOf([read('p', { ingress: [...times(4, (i) => ({ from: [{ ipBlock: { cidr: `10.0.0.0/${8 + i}` } }], ...own(i) })), { from: [notApp(1)], ...own(9) }] })]), 32 * 5);
});

test('a port by its name, where it is the other end that says which it is, counts as if each pod said another', () => {
  const named = { ports: [{ port: 'web' }] };
  assert.equal(sizeOf([read('p', { egress: [{ to: [notApp(1)], ...named }] })]), 10_000);
  assert.equal(sizeOf([read('p', { ingress: [{ from: [notApp(1)], ...named }] })]), 2);
});

test('what clusters have is far below: 10,000 policies of twenty ports, a thousand that let in who all let in by a port of their own', () => {
  const twenty = times(10_000, (i) => read(`p${i}`, { ingress: [{ from: [app(`a${i % 500}`)], ports: [{ port: 8000 + (i % 20) }] }] }));
  const usual = (i: number) => [{ namespaceSelector: { matchLabels: { name: 'ingress' } } }, { namespaceSelector: { matchLabels: { name: 'monitoring' } }, ...app('prometheus') }, app(`a${i}`)];
  const own = times(1000, (i) => read(`p${i}`, { podSelector: app(`b${i}`).podSelector, ingress: [{ from: usual(i), ports: [{ port: 8000 + i }] }] }));
  assert.deepEqual([withinLimits(twenty), withinLimits(own)].flat().filter(({ problems }) => problems.length > 0), []);
  assert.ok(sizeOf(own) <= 24, `${sizeOf(own)}`);
});

test('an app of many that lets in who bears a label of its own, and a label that lets out to one app, come together with no others', () => {
  const client = (i: number) => ({ podSelector: { matchLabels: { [`r${i}-client`]: 'true' } } });
  const own = (i: number) => ({ ports: [{ port: 8000 + i }, { port: 9000 + i }] });
  const servers = times(200, (i) => read(`in${i}`, { podSelector: app(`r${i}`).podSelector, ingress: [{ from: [client(i)], ...own(i) }] }));
  const clients = times(200, (i) => read(`out${i}`, { podSelector: client(i).podSelector, egress: [{ to: [app(`r${i}`)], ...own(i) }] }));
  assert.deepEqual(withinLimits([...servers, ...clients]).filter(({ problems }) => problems.length > 0), []);
  assert.deepEqual([sizeOf(servers), sizeOf(clients)], [4, 4]);
  // A pod may bear all of them, on both ends.
  const both = times(200, (i) => read(`both${i}`, { podSelector: client(i).podSelector, ingress: [{ from: [client(i)], ...own(i) }] }));
  assert.equal(sizeOf(both), 10_000 * 400);
  // And networks on the other end come together with whatever it is, but not with what another pod is allowed.
  const networks = (i: number) => ({ ipBlock: { cidr: `10.0.0.0/${8 + i}` } });
  const egress = times(4, (i) => read(`net${i}`, { podSelector: client(i).podSelector, egress: [{ to: [networks(i), app(`r${i}`)], ...own(i) }] }));
  assert.equal(sizeOf(egress), 2 ** 4 * 8);
  const apart = times(4, (i) => read(`net${i}`, { podSelector: app(`r${i}`).podSelector, egress: [{ to: [networks(i), client(i)], ...own(i) }] }));
  assert.equal(sizeOf(apart), 4);
});

test('rules whose ports have no room fail closed in the order of names, and the policy says so', () => {
  const all = ['b', 'a'].map((name, k) => read(name, { ingress: times(30, (i) => ({ from: [notApp(30 * k + i)], ports: [{ port: 1 + 60 * k + 2 * i }] })) }));
  const now = withinLimits(all);
  assert.deepEqual(now.map(closedOf), [10, 0]);
  assert.deepEqual(now, withinLimits(all.toReversed()).toReversed(), 'whatever the order of events');
  const [problem] = now[0]!.problems;
  assert.match(problem!.what, /^the ports of rules of all NetworkPolicies in namespace shop may take 600000 elements for one pod, more than the 500000 that nodes take .*: give rules/);
  assert.equal(problem!.effect, 'the rule allows nothing, nor do 9 more of the policy what they say');
});
