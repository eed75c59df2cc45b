import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { NftElement } from '../../reconcile/model.ts';
import { usualClusterDns, clusterDnsPod } from '../cluster-dns.ts';
import type { Packet } from '../packet.ts';
import { type AnyObject, readPolicy } from '../policies.ts';
import { clusterPolicy, networkPolicy } from '../testkit/objects.ts';
import { PlannedElements } from '../testkit/planned-elements.ts';
import type { PolicyPod } from '../world.ts';
import { parseValue, PolicyPlanner } from './index.ts';

const podCidrs = ['10.0.0.0/16', 'fd00::/64'].map((text) => Prefix.parse(text));
const node = { name: 'n1', podLinks: { group: 1 }, podCidrs };

/** @param n the last part of its addresses. Pods below 100 are local */
const pod = (n: number, labels: Record<string, string> = {}, more: Partial<PolicyPod> = {}): PolicyPod => ({
  ...{ namespace: 'shop', name: `p${n}`, labels, hostNetwork: false, ended: false, ports: [] },
  addresses: [IpAddr.parse(`10.0.${n >> 8}.${n & 255}`), IpAddr.parse(`fd00::${n.toString(16)}`)],
  node: n < 100 ? 'n1' : 'n2',
  ...more,
});

class Bed {
  readonly planner: PolicyPlanner;
  readonly elements = new PlannedElements();

  constructor(held = new Map()) {
    this.planner = new PolicyPlanner({ node, held });
  }

  set(...objects: (AnyObject | PolicyPod)[]): string[] {
    for (const object of objects)
      if ('apiVersion' in object) this.planner.setPolicy(readPolicy(object as AnyObject)!);
      else this.planner.setPod(object as PolicyPod);
    return this.take();
  }

  take(): string[] {
    return this.elements.take(this.planner);
  }

  of(set: RegExp): NftElement[] {
    return this.elements.items.filter((element) => set.test(element.set));
  }

  hears(local: number, from: string, port = 80): boolean {
    const source = IpAddr.parse(from);
    const destination = pod(local).addresses.find(({ family }) => family === source.family)!;
    const packet: Packet = { source, destination, protocol: 'TCP', port };
    return this.elements.allows('ingress', packet);
  }
}

const from = (labels: Record<string, string>, ports: object[] = []): object => ({
  from: [{ podSelector: { matchLabels: labels } }],
  ...(ports.length > 0 ? { ports } : {}),
});
const ingress = (name: string, ...rules: object[]): AnyObject => networkPolicy(`shop/${name}`, { podSelector: {}, ingress: rules });
const idOf = (policy: AnyObject) => readPolicy(policy)!;

test('policies that select no local pod want nothing, and nothing is left when the last one goes', () => {
  const bed = new Bed();
  const [mine, theirs] = [ingress('a', from({ app: 'web' }, [{ port: 80 }])), networkPolicy('other/b', { podSelector: {}, ingress: [] })];
  assert.equal(bed.planner.isActive, false);
  bed.set(pod(1), pod(101, { app: 'web' }), pod(102, {}, { namespace: 'other' }), theirs);
  assert.equal(bed.planner.isActive, true);
  assert.deepEqual(bed.elements.items, []);
  bed.set(mine);
  assert.ok(bed.elements.items.length > 0);
  bed.planner.deletePolicy(idOf(mine));
  bed.planner.deletePolicy(idOf(theirs));
  bed.take();
  assert.equal(bed.planner.isActive, false);
  assert.deepEqual([...bed.elements.byOwner], []);
});

test('addresses of all local pods are known as theirs while policies speak of one of them, and of no other pods', () => {
  const bed = new Bed();
  const here = (): string[] => bed.of(/^policy-here4/).map(({ key }) => key).sort();
  const policy = networkPolicy('shop/a', { podSelector: { matchLabels: { app: 'web' } }, ingress: [] });
  bed.set(pod(1), pod(2), pod(101), pod(3, {}, { hostNetwork: true }), policy);
  assert.deepEqual(here(), []);
  bed.set(pod(4, { app: 'web' }));
  assert.deepEqual(here(), ['10.0.0.1', '10.0.0.2', '10.0.0.4']);
  bed.set(pod(2, {}, { ended: true }), pod(5));
  assert.deepEqual(here(), ['10.0.0.1', '10.0.0.4', '10.0.0.5']);
  bed.set(pod(4));
  assert.deepEqual(here(), []);
});

test('remote pods that are treated alike have one identity, and who is treated as anybody has none', () => {
  const bed = new Bed();
  const policies = Array.from({ length: 200 }, (_, i) => ingress(`np${i}`, from({ unit: `u${i}` }, [{ port: 80 }])));
  const pods = Array.from({ length: 300 }, (_, i) => pod(100 + i, { unit: `u${i}` }));
  bed.set(pod(1), pod(2), ...pods, ...policies);
  assert.equal(new Set(bed.of(/^policy-ids/).map(({ data }) => data)).size, 1);
  assert.equal(bed.of(/^policy-ids4/).length, 200);
  assert.equal(bed.of(/^policy-ingress[46]$/).length, 4, 'for each local pod and family one row');
  assert.equal(bed.of(/^policy-ports/).length, 1);
});

test('a change costs what it changes: a pod one element in each family, a pod of no other treatment nothing', () => {
  const bed = new Bed();
  const policies = [ingress('a', from({ app: 'web' }, [{ port: 80 }])), ingress('b', from({ app: 'db' }, [{ port: 5432 }]))];
  const others = Array.from({ length: 200 }, (_, i) => pod(300 + i, { app: i % 2 ? 'web' : 'db' }));
  bed.set(pod(1), pod(2), pod(258), ...others, ...policies);
  assert.deepEqual(bed.set(pod(258, { app: 'none' })), []);
  const owners = bed.set(pod(258, { app: 'web' }));
  assert.deepEqual(owners.sort(), ['policy identities 10.0.1', 'policy identities fd00:']);
  assert.ok(bed.hears(1, '10.0.1.2') && !bed.hears(1, '10.0.1.2', 5432));
  assert.deepEqual(bed.set(pod(258, { app: 'web' })), [], 'the same again');
  assert.equal(bed.set(pod(258, { app: 'db' })).length, 2);
  assert.ok(!bed.hears(1, '10.0.1.2') && bed.hears(1, '10.0.1.2', 5432));
});

test('numbers stay: a rule that changes for all of an identity changes its rows, not its addresses', () => {
  const bed = new Bed();
  const others = Array.from({ length: 50 }, (_, i) => pod(300 + i, { app: 'web' }));
  bed.set(pod(1), ...others, ingress('a', from({ app: 'web' }, [{ port: 80 }])));
  const before = bed.of(/^policy-ids/);
  const owners = bed.set(ingress('a', from({ app: 'web' }, [{ port: 81 }])));
  assert.deepEqual(bed.of(/^policy-ids/), before);
  assert.ok(!owners.some((owner) => owner.startsWith('policy identities')), String(owners));
  assert.ok(bed.hears(1, '10.0.1.50', 81) && !bed.hears(1, '10.0.1.50', 80));
});

test('CNP5: isolation closes what the Baseline tier accepted, though nothing changes for anybody else', () => {
  const bed = new Bed();
  const baseline = clusterPolicy('baseline', {
    ...{ tier: 'Baseline', priority: 1, subject: { namespaces: {} } },
    ingress: [
      { action: 'Accept', from: [{ pods: { podSelector: { matchLabels: { app: 'web' } } } }] },
      { action: 'Deny', from: [{ namespaces: {} }] },
    ],
  });
  const none = networkPolicy('shop/none', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'] });
  bed.set(pod(1, { app: 'db' }), pod(2), pod(300, { app: 'web' }), pod(301), baseline);
  assert.ok(bed.hears(1, '10.0.1.44') && bed.hears(2, '10.0.1.44') && !bed.hears(1, '10.0.1.45'));
  bed.set(none);
  assert.ok(!bed.hears(1, '10.0.1.44') && bed.hears(2, '10.0.1.44') && !bed.hears(1, '10.0.1.45'));
  bed.planner.deletePolicy(idOf(none));
  bed.take();
  assert.ok(bed.hears(1, '10.0.1.44') && bed.hears(2, '10.0.1.44'));
});

test('after a restart all numbers are those of the kernel, and what has no owner any more is given out last', () => {
  const bed = new Bed();
  const policies = ['web', 'db', 'api'].map((app, i) => ingress(app, from({ app }, [{ port: 80 + i }, { port: 8000, endPort: 8100 + i }])));
  const pods = ['web', 'db', 'api'].map((app, i) => pod(300 + i, { app }));
  bed.set(pod(1), ...pods, ...policies);
  bed.planner.deletePolicy(idOf(policies[0]!));
  bed.take();
  const restarted = new Bed(bed.elements.network());
  restarted.set(...policies.slice(1), ...pods.toReversed(), pod(1));
  assert.deepEqual(restarted.elements.network(), bed.elements.network());
  const known = new Set(bed.elements.items.map(({ data }) => data));
  restarted.set(ingress('new', from({ app: 'web' }, [{ port: 7 }])));
  const fresh = restarted.elements.items.filter(({ set, key }) => /^policy-ids/.test(set) && /(1\.44|::12c)$/.test(key));
  assert.equal(fresh.length, 2);
  assert.ok(fresh.every(({ data }) => !known.has(data)));
});

test('numbers that were given back are given out again last', () => {
  const bed = new Bed();
  bed.set(pod(1), pod(300, { app: 'web' }));
  const seen = new Set<string>();
  for (let port = 1; port <= 300; port++) {
    bed.set(ingress('a', from({ app: 'web' }, [{ port }])));
    const [row] = bed.of(/^policy-ingress4$/);
    assert.ok(!seen.has(row!.data!), `${row!.data} was another class before`);
    seen.add(row!.data!);
  }
});

test('fail closed: who is in a pod CIDR and not known yet is denied what a Deny rule may mean, and accepted by no rule about pods', () => {
  const guard = (action: string, more: object[] = []): AnyObject =>
    clusterPolicy('guard', {
      ...{ tier: 'Admin', priority: 1, subject: { namespaces: {} } },
      ingress: [{ action, from: [{ pods: { podSelector: { matchLabels: { app: 'bad' } } } }] }, ...more],
    });
  const bed = new Bed();
  bed.set(pod(1), guard('Deny'));
  assert.ok(bed.hears(1, '198.51.100.1') && bed.hears(1, '2001:db8::1'));
  assert.ok(!bed.hears(1, '10.0.7.7') && !bed.hears(1, 'fd00::777'));
  bed.set(pod(0x707, { app: 'good' }));
  assert.ok(bed.hears(1, '10.0.7.7'));
  assert.ok(!bed.hears(1, '10.0.7.8'));
  bed.set(pod(0x707, { app: 'bad' }));
  assert.ok(!bed.hears(1, '10.0.7.7'));
  bed.set(guard('Accept'), ingress('isolated'));
  assert.ok(bed.hears(1, '10.0.7.7'));
  assert.ok(!bed.hears(1, '10.0.7.8'));
  // It may be one that is passed on, or one that the next rule denies: it is denied.
  bed.planner.deletePolicy(idOf(ingress('isolated')));
  bed.set(guard('Pass', [{ action: 'Deny', from: [{ namespaces: {} }] }]));
  assert.ok(bed.hears(1, '10.0.7.7'));
  assert.ok(!bed.hears(1, '10.0.7.8'));
  bed.set(guard('Pass', [{ action: 'Accept', from: [{ namespaces: {} }] }]), ingress('isolated'));
  assert.ok(!bed.hears(1, '10.0.7.8'), 'what may be passed on is isolated');
  // Nothing denies or passes on pods: nobody need be known.
  bed.planner.deletePolicy(idOf(guard('Pass')));
  bed.take();
  assert.deepEqual(bed.of(/^policy-nets/), []);
});

test('NP7: on egress a name is a port of pods that are meant as pods, not of a network that they are in', () => {
  const bed = new Bed();
  const web = pod(300, { app: 'web' }, { ports: [{ name: 'http', protocol: 'TCP', number: 8080 }] });
  const to = (...peers: object[]): AnyObject =>
    networkPolicy('shop/to', { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: peers, ports: [{ port: 'http' }, { port: 81 }] }] });
  const reaches = (port: number): boolean =>
    bed.elements.allows('egress', { source: pod(1).addresses[0]!, destination: web.addresses[0]!, protocol: 'TCP', port });
  bed.set(pod(1), web, to({ ipBlock: { cidr: '10.0.0.0/16' } }));
  assert.deepEqual([reaches(8080), reaches(81)], [false, true]);
  bed.set(to({ ipBlock: { cidr: '10.0.0.0/16' } }, { podSelector: { matchLabels: { app: 'web' } } }));
  assert.deepEqual([reaches(8080), reaches(81)], [true, true]);
  bed.set({ ...web, ports: [{ name: 'http', protocol: 'TCP', number: 9090 }] });
  assert.deepEqual([reaches(8080), reaches(9090)], [false, true]);
});

test('numbers do not run out while policies and pods come and go', () => {
  const bed = new Bed();
  bed.set(pod(1), pod(300, { app: 'web' }));
  for (let i = 0; i < 2500; i++) bed.set(ingress('a', ...(i % 2 ? [from({ app: 'web' }, [{ port: 1 + (i % 900) }])] : [])));
  for (const { set, data } of bed.elements.items)
    if (/^policy-(ids|ingress)[46]$/.test(set)) assert.ok(parseValue(data!) < 1100 * 8, `${set} has ${data}`);
});

test('an address of two pods is the local one’s, then the first one’s by name', () => {
  const bed = new Bed();
  bed.set(pod(1), pod(2, { app: 'web' }), pod(2, {}, { name: 'a', node: 'n2' }), ingress('a', from({ app: 'web' })));
  assert.ok(bed.hears(1, '10.0.0.2'));
  bed.planner.deletePod('shop/p2');
  bed.take();
  assert.ok(!bed.hears(1, '10.0.0.2'));
  bed.set(pod(2, { app: 'web' }, { node: 'n2' }));
  assert.ok(!bed.hears(1, '10.0.0.2'));
  bed.planner.deletePod('shop/a');
  bed.take();
  assert.ok(bed.hears(1, '10.0.0.2'));
});

test('NP17: cluster DNS that each node answers is a pod at its address, and its ports are told', () => {
  const bed = new Bed();
  bed.planner.setClusterDns([clusterDnsPod(usualClusterDns)]);
  const dns = networkPolicy('shop/dns', {
    ...{ podSelector: {}, policyTypes: ['Egress'] },
    egress: [
      {
        to: [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
        ports: [{ port: 53, protocol: 'UDP' }],
      },
    ],
  });
  bed.set(pod(1), dns);
  assert.deepEqual(
    bed.of(/^policy-dns/).map(({ set, key }) => `${set} ${key}`),
    [
      ...['policy-dns4 10.96.0.10 . udp . 53', 'policy-dns4 10.96.0.10 . tcp . 53'],
      ...['policy-dns6 fd00:10:96::a . udp . 53', 'policy-dns6 fd00:10:96::a . tcp . 53'],
    ],
  );
  const ask = (to: string, protocol: 'UDP' | 'TCP'): boolean =>
    bed.elements.allows('egress', { source: IpAddr.parse('10.0.0.1'), destination: IpAddr.parse(to), protocol, port: 53 });
  assert.ok(ask('10.96.0.10', 'UDP') && !ask('10.96.0.10', 'TCP') && !ask('10.96.0.11', 'UDP'));
  bed.planner.setClusterDns([]);
  bed.take();
  assert.ok(!ask('10.96.0.10', 'UDP'));
});
