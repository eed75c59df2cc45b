import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { evaluate } from './evaluate.ts';
import { readWorld } from './read-world.ts';
import { reasonText } from './reason-text.ts';
import { adminPolicy, ask, baselinePolicy, clusterPolicy, namespace, networkPolicy, node, pod } from './testkit/objects.ts';

const cluster = [
  namespace('default', { team: 'a' }),
  namespace('other', { team: 'b' }),
  node('n1', ['192.0.2.1'], { zone: 'z1' }),
  node('n2', ['192.0.2.2'], { zone: 'z2' }),
  pod('web', '10.0.0.1 fd00::1', { app: 'web' }, { node: 'n1' }),
  pod(
    'db',
    '10.0.1.2 fd00::1:2',
    { app: 'db' },
    {
      node: 'n2',
      ports: [
        { name: 'sql', containerPort: 5432 },
        { name: 'sql', containerPort: 99, protocol: 'UDP' },
      ],
    },
  ),
  pod('other/web', '10.0.0.3 fd00::3', { app: 'web' }, { node: 'n1' }),
  pod('host', '192.0.2.2', { app: 'db' }, { node: 'n2', hostNetwork: true }),
];
const outside = '203.0.113.7';
const everyPod = { namespaces: {} };
const db = { pods: { podSelector: { matchLabels: { app: 'db' } } } };
const web = { pods: { podSelector: { matchLabels: { app: 'web' } } } };

interface Spec {
  tier?: string;
  priority?: number;
  subject?: object;
  ingress?: object[];
  egress?: object[];
}
const cnp = (name: string, { tier = 'Admin', priority = 10, subject = db, ...rules }: Spec) =>
  clusterPolicy(name, { tier, priority, subject, ...rules });
const from = (action: string, peer: object = everyPod, more: object = {}) => ({ action, from: [peer], ...more });
const to = (action: string, peer: object = everyPod, more: object = {}) => ({ action, to: [peer], ...more });

test('CNP1: the subject is namespaces, or pods by both selectors; a policy without rules of a direction does not touch it', () => {
  const deny = (subject: object) => {
    const { allowed } = ask(...cluster, cnp('p', { subject, ingress: [from('Deny')] }));
    return ['db', 'web', 'other/web'].map((name) => allowed('10.0.0.3', name, 'TCP 1', { source: IpAddr.parse('10.0.1.2') }));
  };
  const { allowed } = ask(...cluster, cnp('p', { ingress: [from('Deny')] }));
  assert.deepEqual([allowed('web', 'db'), allowed('db', 'web'), allowed('web', 'other/web')], [false, true, true]);
  assert.deepEqual(deny({ namespaces: { matchLabels: { team: 'b' } } }), [true, true, false]);
  assert.deepEqual(
    deny({ pods: { namespaceSelector: { matchLabels: { team: 'a' } }, podSelector: { matchLabels: { app: 'web' } } } }),
    [true, false, true],
  );
  assert.deepEqual(deny(web), [true, false, false]);
});

test('CNP2: Accept, Deny and Pass, rules in their order, the first that matches decides', () => {
  const two = (...ingress: object[]) => ask(...cluster, cnp('p', { ingress })).allowed('web', 'db');
  assert.ok(two(from('Accept'), from('Deny')));
  assert.equal(two(from('Deny'), from('Accept')), false);
  assert.ok(two(from('Pass'), from('Deny')));
  assert.ok(two(from('Deny', { namespaces: { matchLabels: { team: 'b' } } })));
});

test('CNP3: ingress peers are namespaces and pods, egress peers also networks, nodes and names', () => {
  const egress = (peer: object, target: string) =>
    ask(...cluster, cnp('p', { subject: web, egress: [to('Deny', peer)] })).allowed('web', target);
  assert.deepEqual(
    [
      egress({ networks: ['203.0.113.0/24', '198.51.100.0/24'] }, outside),
      egress({ networks: ['203.0.113.0/29'] }, '203.0.113.9'),
    ],
    [false, true],
  );
  const zone = (value: string) => ({ nodes: { matchLabels: { zone: value } } });
  assert.deepEqual(
    [egress(zone('z2'), 'n2'), egress(zone('z1'), 'n2'), egress({ nodes: {} }, 'db'), egress({ nodes: {} }, outside)],
    [false, true, true, true],
  );
  assert.deepEqual(
    [egress({ namespaces: { matchLabels: { team: 'b' } } }, 'other/web'), egress({ namespaces: {} }, outside)],
    [false, true],
  );
  const { world } = ask(cnp('p', { ingress: [from('Deny', { networks: ['0.0.0.0/0'] })] }));
  assert.match(world.policies[0]!.problems[0]!.what, /unknown field "networks"/);
});

test('CNP4: a protocol without a port is the whole protocol, ranges are inclusive, a named port is of any protocol', () => {
  const ports = (protocols: object[]) => ask(...cluster, cnp('p', { ingress: [from('Deny', everyPod, { protocols })] }));
  const denied = (protocols: object[], ...asked: string[]) => asked.map((port) => !ports(protocols).allowed('web', 'db', port));
  assert.deepEqual(denied([{ tcp: {} }], 'TCP 1', 'TCP 65535', 'UDP 1', 'ICMP'), [true, true, false, false]);
  assert.deepEqual(denied([{ udp: { destinationPort: { number: 53 } } }], 'UDP 53', 'UDP 54', 'TCP 53'), [true, false, false]);
  const range = { sctp: { destinationPort: { range: { start: 10, end: 12 } } } };
  assert.deepEqual(denied([range, { tcp: {} }], 'SCTP 9', 'SCTP 10', 'SCTP 12', 'SCTP 13', 'TCP 9'), [
    false,
    true,
    true,
    false,
    true,
  ]);
  assert.deepEqual(denied([{ destinationNamedPort: 'sql' }], 'TCP 5432', 'UDP 99', 'UDP 5432'), [true, true, false]);
});

test('CNP4: named ports do not stand in a rule with networks, nodes or names: it fails closed', () => {
  const rule = to('Accept', { networks: ['0.0.0.0/0'] }, { protocols: [{ destinationNamedPort: 'sql' }] });
  const { world } = ask(...cluster, cnp('p', { egress: [rule] }));
  assert.deepEqual(world.policies[0]!.problems[0]!.effect, 'the rule allows nothing');
});

const isolate = networkPolicy('np', { podSelector: { matchLabels: { app: 'db' } } });
const open = networkPolicy('np', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{}] });

test('CNP5: Admin decides before NetworkPolicies, Pass leaves it to them, Baseline is asked only where none selects the pod', () => {
  const reach = (...policies: Parameters<typeof ask>) => ask(...cluster, ...policies).allowed('web', 'db');
  const admin = (action: string) => cnp('admin', { ingress: [from(action)] });
  const base = (action: string) => cnp('base', { tier: 'Baseline', ingress: [from(action)] });
  assert.ok(reach(admin('Accept'), isolate, base('Deny')));
  assert.equal(reach(admin('Deny'), open, base('Accept')), false);
  assert.equal(reach(admin('Pass'), isolate, base('Accept')), false);
  assert.ok(reach(admin('Pass'), open, base('Deny')));
  assert.equal(reach(admin('Pass'), base('Deny')), false);
  assert.equal(reach(base('Deny')), false);
  assert.ok(
    reach(base('Pass'), cnp('base2', { tier: 'Baseline', priority: 20, ingress: [from('Deny')] })),
    'Pass skips what is left of the tier',
  );
  const egressOnly = networkPolicy('np', { podSelector: {}, policyTypes: ['Egress'], egress: [{}] });
  assert.equal(reach(egressOnly, base('Deny')), false, 'selected in the other direction only');
});

test('CNP5: lower priority first, whatever the order of objects; Pass skips later policies of the tier', () => {
  const first = (action: string) => cnp('z', { priority: 1, ingress: [from(action)] });
  const second = cnp('a', { priority: 2, ingress: [from('Deny')] });
  for (const order of [(...all: object[]) => all, (...all: object[]) => all.reverse()]) {
    const reach = (action: string) =>
      ask(...cluster, ...(order(first(action), second) as ReturnType<typeof cnp>[])).verdict('web', 'db');
    assert.ok(reach('Accept').allowed);
    const passed = reach('Pass');
    assert.ok(passed.allowed);
    assert.deepEqual(
      passed.ingress.passed.map(({ policy }) => policy.name),
      ['z'],
    );
    assert.equal(reachNothing(order), false);
  }
  function reachNothing(order: (...all: object[]) => object[]): boolean {
    const none = cnp('z', { priority: 1, ingress: [from('Accept', { namespaces: { matchLabels: { team: 'none' } } })] });
    return ask(...cluster, ...(order(none, second) as ReturnType<typeof cnp>[])).allowed('web', 'db');
  }
});

test('CNP6: no rule that matches is no isolation; Accept on egress does not open the destination', () => {
  assert.ok(
    ask(...cluster, cnp('p', { ingress: [from('Accept', { namespaces: { matchLabels: { team: 'none' } } })] })).allowed(
      'web',
      'db',
    ),
  );
  assert.equal(ask(...cluster, isolate, cnp('p', { subject: web, egress: [to('Accept')] })).allowed('web', 'db'), false);
});

test('CNP7: of equal priorities the first by name decides, whatever the order of objects', () => {
  const a = cnp('a', { ingress: [from('Accept')] });
  const b = cnp('b', { ingress: [from('Deny')] });
  assert.ok(ask(...cluster, a, b).allowed('web', 'db'));
  assert.ok(ask(...cluster, b, a).allowed('web', 'db'));
});

test('CNP8: pods of the host network are neither subjects nor peers; networks match pods, and ICMP of their family', () => {
  assert.ok(ask(...cluster, cnp('p', { ingress: [from('Deny')] })).allowed('other/web', 'host'));
  assert.ok(ask(...cluster, cnp('p', { subject: web, egress: [to('Deny', db)] })).allowed('web', 'host'));
  const { allowed } = ask(...cluster, cnp('p', { subject: web, egress: [to('Deny', { networks: ['0.0.0.0/0'] })] }));
  assert.deepEqual(
    [
      allowed('web', 'db'),
      allowed('web', 'db', 'ICMP'),
      allowed('fd00::1', 'fd00::1:2'),
      allowed('fd00::1', 'fd00::1:2', 'ICMP'),
    ],
    [false, false, true, true],
  );
});

test('CNP9: a pod reaches its own address; through a Service it is subject to cluster-wide policies', () => {
  const { allowed } = ask(...cluster, cnp('p', { subject: db, ingress: [from('Deny')] }));
  assert.ok(allowed('db', 'db'));
  assert.equal(allowed('db', 'db', 'TCP 80', { viaService: true }), false);
  assert.ok(
    ask(...cluster, isolate, cnp('p', { tier: 'Baseline', ingress: [from('Deny')] })).allowed('db', 'db', 'TCP 80', {
      viaService: true,
    }),
  );
});

test('CNP10: a peer of a newer version fails closed: Accept matches nothing, Deny and Pass deny everything', () => {
  for (const peer of [{}, { services: {} }, { namespaces: {}, pods: { podSelector: {} } }]) {
    const reach = (action: string, source = 'web') =>
      ask(...cluster, cnp('p', { ingress: [from(action, peer), from('Accept')] })).allowed(source, 'db');
    assert.ok(reach('Accept'), 'the next rule is asked');
    assert.deepEqual(
      ['Deny', 'Pass'].map((action) => reach(action)),
      [false, false],
    );
    assert.deepEqual(
      ['Deny', 'Pass'].map((action) => reach(action, outside)),
      [false, false],
    );
    assert.equal(ask(...cluster, cnp('p', { ingress: [from('Accept', peer), from('Deny')] })).allowed('web', 'db'), false);
  }
  const { world, verdict } = ask(...cluster, cnp('p', { ingress: [from('Pass', {})] }));
  assert.deepEqual(world.policies[0]!.problems, [
    { at: 'spec.ingress[0].from[0]', what: 'expected one of namespaces, pods, found none', effect: 'the rule denies everything' },
  ]);
  assert.equal(
    reasonText(verdict('web', 'db').ingress),
    'denied by ClusterNetworkPolicy p, spec.ingress[0], any peer, any port: not understood (spec.ingress[0].from[0]: expected one of namespaces, pods, found none), so it denies',
  );
});

test('CNP10: actions, protocols, limits and heads that are not known fail closed, too', () => {
  const reach = (spec: object) =>
    ask(...cluster, clusterPolicy('p', { tier: 'Admin', priority: 1, subject: db, ...spec })).allowed('web', 'db');
  assert.equal(reach({ ingress: [from('Log')] }), false);
  assert.equal(reach({ ingress: [from('Deny', everyPod, { protocols: [{ quic: {} }] })] }), false);
  assert.equal(reach({ ingress: [from('Deny', everyPod, { protocols: [] })] }), false);
  assert.equal(reach({ ingress: [{ action: 'Deny', from: [] }] }), false);
  for (const head of [
    { subject: {} },
    { subject: { services: {} } },
    { tier: 'Security' },
    { priority: 1001 },
    { priority: undefined },
    { scope: 'x' },
  ]) {
    assert.equal(reach({ ingress: [from('Accept'), from('Deny')], ...head }), false, JSON.stringify(head));
    assert.equal(reach({ ingress: [from('Pass'), from('Accept')], ...head }), false, JSON.stringify(head));
    assert.ok(reach({ ingress: [from('Deny', { namespaces: { matchLabels: { team: 'b' } } })], ...head }), JSON.stringify(head));
  }
});

test('CNP11: a name is exact, or with *. any name below it; addresses are those that the resolver gave; only Accept', () => {
  const address = IpAddr.parse(outside);
  const reach = (domainNames: string[], name: string, action = 'Accept') => {
    const objects = [
      ...cluster,
      cnp('p', { subject: web, egress: [to(action, { domainNames }), to('Deny', { networks: ['0.0.0.0/0'] })] }),
    ];
    const world = readWorld(objects, new Map([[name, [address]]]));
    return evaluate(world, { source: IpAddr.parse('10.0.0.1'), destination: address, protocol: 'TCP', port: 443 }).allowed;
  };
  assert.ok(reach(['kubernetes.io'], 'kubernetes.io'));
  assert.ok(reach(['Kubernetes.IO.'], 'kubernetes.io'));
  assert.equal(reach(['kubernetes.io'], 'www.kubernetes.io'), false);
  for (const name of ['www.kubernetes.io', 'latest.blog.kubernetes.io']) assert.ok(reach(['*.kubernetes.io'], name), name);
  for (const name of ['kubernetes.io', 'my-kubernetes.io']) assert.equal(reach(['*.kubernetes.io'], name), false, name);
  for (const wrong of ['*', 'a.*.io', 'my*.kubernetes.io', 'io'])
    assert.equal(reach([wrong, 'kubernetes.io'], 'kubernetes.io'), false, wrong);
  assert.equal(reach(['other.io'], 'kubernetes.io', 'Pass'), false);
});

test('CNP12: its own node reaches a pod whatever cluster-wide policies say; egress to it they can deny', () => {
  const { allowed } = ask(...cluster, cnp('p', { ingress: [from('Deny', {})], egress: [to('Deny', { nodes: {} })] }));
  assert.deepEqual([allowed('n2', 'db'), allowed('n1', 'db'), allowed('db', 'n2')], [true, false, false]);
});

test('CNP5: AdminNetworkPolicy and BaselineAdminNetworkPolicy are read as Admin and Baseline, Allow as Accept', () => {
  const ports = [{ portNumber: { port: 80 } }, { portRange: { protocol: 'UDP', start: 1, end: 2 } }, { namedPort: 'sql' }];
  const admin = adminPolicy('anp', {
    priority: 5,
    subject: db,
    ingress: [{ action: 'Allow', from: [everyPod], ports }, from('Pass', web), from('Deny')],
  });
  const base = baselinePolicy('default', { subject: everyPod, ingress: [from('Deny')] });
  const { allowed, world } = ask(...cluster, admin, base);
  assert.deepEqual(
    world.policies.flatMap(({ problems }) => problems),
    [],
  );
  assert.deepEqual(
    ['TCP 80', 'UDP 2', 'TCP 5432', 'UDP 99', 'TCP 81'].map((port) => allowed('web', 'db', port)),
    [true, true, true, true, false],
  );
  assert.ok(ask(...cluster, admin).allowed('web', 'db', 'TCP 81'), 'passed, and nothing else denies');
  assert.equal(ask(...cluster, admin).allowed('db', 'other/web'), true);
  assert.equal(allowed('db', 'web'), false);
  assert.ok(ask(...cluster, base, networkPolicy('np', { podSelector: {}, ingress: [{}] })).allowed('db', 'web'));
  const wrong = baselinePolicy('default', { priority: 1, subject: db, ingress: [from('Pass')] });
  assert.equal(ask(...cluster, wrong).world.policies[0]!.problems.length, 2);
});
