import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import type { Policy } from '../model.ts';
import { maxOverlap } from '../limits/networks.ts';
import { readPolicy } from '../policies.ts';
import { evaluate } from '../evaluate.ts';
import { networkPolicy } from '../testkit/objects.ts';
import { PlannedElements } from '../testkit/planned-elements.ts';
import { makeWorld, type PolicyPod } from '../world.ts';
import { type Atom, Atoms } from './remote/peers.ts';
import { Pieces } from './remote/pieces.ts';
import { PolicyPlanner } from './planner.ts';
import { compileRules } from './local/rules.ts';
import { Signatures } from './remote/signatures.ts';
import { TrafficSets } from './local/traffic-sets.ts';

const addressOf = (i: number): string => `10.9.${i >> 8}.${i & 255}`;
const allBut = (i: number) => ({ ipBlock: { cidr: '0.0.0.0/0', except: [`${addressOf(i)}/32`] } });
const ingress = (key: string, rules: object[]): Policy => readPolicy(networkPolicy(key, { podSelector: {}, ingress: rules }))!;
const podOf = (namespace: string, address: string): PolicyPod => ({
  ...{ namespace, name: 'web', labels: {}, addresses: [IpAddr.parse(address)], node: 'n1' },
  ...{ hostNetwork: false, ended: false, ports: [] },
});
const pods = [podOf('shop', '10.0.0.1'), podOf('bank', '10.0.0.2')];
const startPlanner = (): PolicyPlanner => {
  const planner = new PolicyPlanner({ node: { name: 'n1', podLinks: { group: 1 }, podCidrs: [] }, held: new Map() });
  for (const pod of pods) planner.setPod(pod);
  return planner;
};

/** What is kept of pieces: how many there are, and how many atoms their regions list. */
function sizeOf(policies: readonly Policy[]): { pieces: number; listed: number; signatures: number } {
  const [atoms, signatures, traffic] = [new Atoms(), new Signatures(), new TrafficSets()];
  for (const [serial, policy] of policies.entries())
    compileRules({ serial, policy, selections: [policy.subject], rules: undefined }, atoms, traffic);
  const pieces = new Pieces(signatures);
  pieces.update(atoms, []);
  const regions = new Set([...pieces].flatMap((piece) => [...piece.regions]));
  const listed = [...regions].reduce((sum, region) => sum + region.atoms.length, 0);
  return { pieces: [...pieces].length, listed, signatures: [...signatures].length };
}

test('4,000 peers of one rule that allow all but an address each are one network, and what rules keep beside each other is no more than they name', () => {
  const peers = (count: number) => Array.from({ length: count }, (_, i) => allBut(2 * i));
  // All of IPv4, since each excepts what another one allows; IPv6 is one piece.
  assert.deepEqual(sizeOf([ingress('shop/p', [{ from: peers(4000) }])]), { pieces: 2, listed: 1, signatures: 2 });
  const blocks = Array.from({ length: 4000 }, (_, i) => ({ ipBlock: { cidr: `${addressOf(2 * i)}/32` } }));
  assert.deepEqual(sizeOf([ingress('shop/p', [{ from: blocks }])]), { pieces: 8002, listed: 1, signatures: 2 });
  assert.deepEqual(sizeOf([ingress('shop/p', blocks.map((one) => ({ from: [one] })))]), { pieces: 8002, listed: 1, signatures: 2 });
  const ofTheirOwn = blocks.map((one, i) => ({ from: [one], ports: [{ port: i + 1 }] }));
  assert.deepEqual(sizeOf([ingress('shop/p', ofTheirOwn)]), { pieces: 8002, listed: 4000, signatures: 4001 });
});

test('what one namespace says of networks is kept once, however finely another one cuts them', () => {
  const wide = ingress('bank/p', Array.from({ length: 100 }, (_, i) => ({ from: [allBut(2 * i)] })));
  const fine = ingress('shop/p', [{ from: Array.from({ length: 4000 }, (_, i) => ({ ipBlock: { cidr: `11.${i >> 7}.${(i & 127) * 2}.0/24` } })) }]);
  const [alone, both] = [sizeOf([wide]), sizeOf([wide, fine])];
  assert.equal(both.pieces, alone.pieces + 8000);
  assert.equal(both.listed, alone.listed + 1);
});

test('a list of what namespaces say of pieces is kept once for all pieces of which they say the same', () => {
  const usual = (namespace: string) =>
    ingress(`${namespace}/p`, [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'] } }] }]);
  const fine = ingress('shop/p', [{ from: Array.from({ length: 1000 }, (_, i) => ({ ipBlock: { cidr: `11.0.${i >> 7}.${(i & 127) * 2}/32` } })) }]);
  const [atoms, signatures] = [new Atoms(), new Signatures()];
  const compile = (policy: Policy): void => {
    compileRules({ serial: 0, policy, selections: [policy.subject], rules: undefined }, atoms, new TrafficSets());
  };
  const pieces = new Pieces(signatures);
  for (const policy of [...Array.from({ length: 50 }, (_, i) => usual(`t${i}`)), fine]) compile(policy);
  pieces.update(atoms, []);
  assert.ok([...pieces].length > 2000);
  assert.equal(new Set([...pieces].map(({ regions }) => regions)).size, 3);
  // What stays is the same object, also where all is cut anew.
  atoms.settled();
  const before = new Set(pieces);
  compile(ingress('bank/p', [{ from: Array.from({ length: 100 }, (_, i) => ({ ipBlock: { cidr: `12.0.0.${2 * i}/32` } })) }]));
  pieces.update(atoms, []);
  assert.equal([...pieces].filter((piece) => !before.has(piece)).length, 201);
  assert.equal([...before].filter(({ isGone }) => isGone).length, 1);
});

/** Whether what is planned lets in whom the specification lets in. */
function agree(elements: PlannedElements, policies: readonly Policy[]): void {
  const world = makeWorld({ pods, policies });
  for (const pod of pods)
    for (const source of ['10.9.0.0', '10.9.0.1', '10.9.0.2', '10.9.3.0', '172.16.0.1', '8.8.8.8'])
      for (const port of [53, 80]) {
        const packet = { source: IpAddr.parse(source), destination: pod.addresses[0]!, protocol: 'TCP', port } as const;
        assert.equal(elements.allows('ingress', packet), evaluate(world, packet).ingress.allowed, `${source} to ${pod.namespace} ${port}`);
      }
}

test('over the limit a namespace keeps what had room, its neighbour notices nothing, and below the limit all is as it was', () => {
  const bank = ingress('bank/p', [{ from: [{ ipBlock: { cidr: '172.16.0.0/12' } }], ports: [{ port: 53 }] }]);
  const first = ingress('shop/a', [{ from: [{ ipBlock: { cidr: '10.9.0.0/32' } }] }]);
  const flood = Array.from({ length: 4 }, (_, k) =>
    ingress(`shop/m${k}`, Array.from({ length: 120 }, (_, i) => ({ from: [allBut(2 * (120 * k + i))], ports: [{ port: 53 }] }))),
  );
  const last = ingress('shop/z', [{ from: [{ ipBlock: { cidr: '8.8.8.0/24' } }] }]);
  const planner = startPlanner();
  const elements = new PlannedElements();
  const present = [bank, first, last];
  for (const policy of present) planner.setPolicy(policy);
  elements.take(planner);
  agree(elements, present);
  const before = new Map(elements.byOwner);
  for (const policy of flood) planner.setPolicy(policy);
  // Its pod's rows name who is told apart now for the other one's sake; that means the same.
  assert.ok(!elements.take(planner).includes('policy pod bank/web'));
  agree(elements, [...present, ...flood]);
  const over = makeWorld({ pods, policies: [...present, ...flood] }).policies;
  assert.deepEqual(over.filter(({ problems }) => problems.length > 0).map(({ name }) => name), ['m1', 'm2', 'm3', 'z']);
  assert.match(over.find(({ name }) => name === 'z')!.problems[0]!.what, new RegExp(`overlap 460000 times, more than the ${maxOverlap.namespace}`));
  // In any order.
  const other = startPlanner();
  const others = new PlannedElements();
  for (const policy of [last, ...flood.toReversed(), bank, first]) {
    other.setPolicy(policy);
    others.take(other);
  }
  agree(others, [...present, ...flood]);
  for (const policy of flood.slice(1)) planner.deletePolicy(policy);
  elements.take(planner);
  agree(elements, [...present, flood[0]!]);
  planner.deletePolicy(flood[0]!);
  elements.take(planner);
  assert.deepEqual([...elements.byOwner.keys()].sort(), [...before.keys()].sort());
  agree(elements, present);
});

test('who is meant by thousands of rules is known by a short key', () => {
  const signatures = new Signatures();
  const atoms = Array.from({ length: 4000 }, (_, id) => ({ id })) as Atom[];
  const of = (without: number) =>
    signatures.of({ atoms: atoms.filter(({ id }) => id !== without), regions: [], named: undefined, isOwnNode: false, isUnknown: false });
  const all = [of(1001), of(1002), of(1003)];
  assert.equal(new Set(all).size, 3);
  assert.equal(of(1002), all[1]);
  assert.ok(all.every(({ key }) => key.length < 500));
});

test('a rule of many networks that gains one writes that one', () => {
  const blocks = (count: number) => Array.from({ length: count }, (_, i) => ({ ipBlock: { cidr: `10.${i >> 7}.${(i & 127) * 2}.0/24` } }));
  const planner = startPlanner();
  const elements = new PlannedElements();
  planner.setPolicy(ingress('shop/p', [{ from: blocks(2000) }]));
  elements.take(planner);
  planner.setPolicy(ingress('shop/p', [{ from: blocks(2001) }]));
  assert.deepEqual(elements.take(planner), ['policy networks 10.15']);
});

test('a rule of 500 peers of pods is one atom for each pod, and a pod that nobody means any more has none', () => {
  const peer = (i: number) => ({ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: [`a${i}`] }] } });
  const planner = startPlanner();
  const elements = new PlannedElements();
  const policies = [ingress('shop/p', [{ from: Array.from({ length: 500 }, (_, i) => peer(i)) }])];
  for (const policy of policies) planner.setPolicy(policy);
  elements.take(planner);
  const from = (source: string) => ({ source: IpAddr.parse(source), destination: pods[0]!.addresses[0]!, protocol: 'TCP', port: 80 }) as const;
  assert.ok(elements.allows('ingress', from('10.0.0.2')) && !elements.allows('ingress', from('10.0.0.3')));
  assert.equal(planner.identities, 1);
  planner.setPolicy(ingress('shop/p', [{ from: [{ namespaceSelector: { matchLabels: { team: 'x' } } }, { podSelector: { matchLabels: { a: 'b' } } }] }]));
  elements.take(planner);
  assert.ok(!elements.allows('ingress', from('10.0.0.2')));
  // One of the selections of a peer begins to mean it, and ends to.
  planner.setNamespace('bank', { team: 'x' });
  elements.take(planner);
  assert.ok(elements.allows('ingress', from('10.0.0.2')));
  planner.setNamespace('bank', { team: 'y' });
  elements.take(planner);
  assert.ok(!elements.allows('ingress', from('10.0.0.2')));
});
