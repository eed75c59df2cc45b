import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicyPeer, NetworkPolicyPort } from '../kube/types.ts';
import { reasonText } from './reason-text.ts';
import { ask, namespace, networkPolicy, node, pod } from './testkit/objects.ts';

/** Two namespaces, three nodes; `db` is what policies are about. */
const cluster = [
  namespace('default', { team: 'a' }),
  namespace('other', { team: 'b' }),
  node('n1', ['192.0.2.1']),
  node('n2', ['192.0.2.2']),
  node('n3', ['192.0.2.3']),
  pod('web', '10.0.0.1 fd00::1', { app: 'web' }, { node: 'n1' }),
  pod('db', '10.0.1.2 fd00::1:2', { app: 'db' }, { node: 'n2', ports: [{ name: 'sql', containerPort: 5432 }] }),
  pod('other/web', '10.0.0.3 fd00::3', { app: 'web' }, { node: 'n1' }),
  pod('host', '192.0.2.3', { app: 'web' }, { node: 'n3', hostNetwork: true }),
];
const db = { matchLabels: { app: 'db' } };
const web = { matchLabels: { app: 'web' } };
const outside = '203.0.113.7';

/** Whether web and others reach db where a policy allows ingress of one rule. */
const fromPeer = (...from: NetworkPolicyPeer[]) => ask(...cluster, networkPolicy('p', { podSelector: db, ingress: [{ from }] }));
const onPorts = (...ports: NetworkPolicyPort[]) => ask(...cluster, networkPolicy('p', { podSelector: db, ingress: [{ ports }] }));

test('NP1: a pod that nothing selects is open; any policy isolates it in its direction only; rules of all policies add up', () => {
  assert.ok(ask(...cluster).allowed('web', 'db'));
  assert.ok(ask(...cluster).allowed(outside, 'db'));
  const deny = networkPolicy('deny', { podSelector: db });
  const closed = ask(...cluster, deny);
  assert.equal(closed.allowed('web', 'db'), false);
  assert.ok(closed.allowed('db', 'web'), 'egress is as it was');
  assert.ok(closed.allowed('web', 'other/web'), 'others are as they were');
  const allow = (name: string, port: number) => networkPolicy(name, { podSelector: db, ingress: [{ ports: [{ port }] }] });
  for (const policies of [
    [deny, allow('a', 80), allow('b', 81)],
    [allow('b', 81), allow('a', 80), deny],
  ]) {
    const { allowed } = ask(...cluster, ...policies);
    assert.deepEqual(
      [80, 81, 82].map((port) => allowed('web', 'db', `TCP ${port}`)),
      [true, true, false],
    );
  }
});

test('NP1: a policy is about pods of its own namespace', () => {
  const { allowed } = ask(...cluster, networkPolicy('other/deny', { podSelector: {} }));
  assert.ok(allowed('web', 'db'));
  assert.equal(allowed('db', 'other/web'), false);
});

test('NP2: policyTypes default to Ingress, and to Egress when there is an egress rule, as the API server has it', () => {
  const about = (spec: object) => {
    const { allowed } = ask(...cluster, networkPolicy('p', { podSelector: db, ...spec }));
    return { ingress: !allowed('web', 'db'), egress: !allowed('db', 'web', 'TCP 99') };
  };
  const egress = [{ ports: [{ port: 53 }] }];
  assert.deepEqual(about({}), { ingress: true, egress: false });
  assert.deepEqual(about({ egress }), { ingress: true, egress: true });
  assert.deepEqual(about({ egress: [] }), { ingress: true, egress: false }, 'an empty list is as none');
  assert.deepEqual(about({ policyTypes: [] }), { ingress: true, egress: false });
  assert.deepEqual(about({ policyTypes: ['Egress'] }), { ingress: false, egress: true });
  assert.deepEqual(about({ policyTypes: ['Ingress'], egress }), { ingress: true, egress: false });
  assert.deepEqual(about({ policyTypes: ['Ingress', 'Egress'] }), { ingress: true, egress: true });
  assert.deepEqual(about({ policyTypes: ['Egress'], ingress: [] }), { ingress: false, egress: true });
});

test('NP2: rules of a direction that policyTypes leaves out are told to have no effect', () => {
  const { world } = ask(networkPolicy('p', { podSelector: {}, policyTypes: ['Egress'], ingress: [{}] }));
  assert.deepEqual(world.policies[0]!.problems, [
    { at: 'spec.ingress', what: 'policyTypes is ["Egress"]', effect: 'the ingress rules are not looked at' },
  ]);
});

test('NP3: an empty podSelector, or none, is every pod of the namespace; no rules allow nothing, an empty rule allows all', () => {
  for (const podSelector of [{}, undefined, { matchLabels: {} }, { matchExpressions: [] }]) {
    for (const ingress of [[], undefined])
      assert.equal(ask(...cluster, networkPolicy('p', { podSelector, ingress })).allowed('other/web', 'web'), false);
    const open = ask(...cluster, networkPolicy('p', { podSelector, ingress: [{}] }));
    for (const port of ['TCP 1', 'UDP 65535', 'SCTP 7', 'ICMP']) assert.ok(open.allowed(outside, 'db', port), port);
  }
});

test('NP4: a rule matches by a peer AND a port; lists are OR; an empty list and none are no limit', () => {
  const rule = (from: NetworkPolicyPeer[] | undefined, ports: NetworkPolicyPort[] | undefined) => {
    const { allowed } = ask(...cluster, networkPolicy('p', { podSelector: db, ingress: [{ from, ports }] }));
    return [allowed('web', 'db', 'TCP 80'), allowed('web', 'db', 'TCP 81'), allowed('other/web', 'db', 'TCP 80')];
  };
  const own = [{ podSelector: web }];
  const both = [{ podSelector: db }, { podSelector: web }];
  const port = [{ port: 79 }, { port: 80 }];
  assert.deepEqual(rule(own, port), [true, false, false]);
  assert.deepEqual(rule(both, undefined), [true, true, false]);
  assert.deepEqual(rule(own, []), [true, true, false]);
  assert.deepEqual(rule(undefined, port), [true, false, true]);
  assert.deepEqual(rule([], port), [true, false, true]);
  assert.deepEqual(rule([], []), [true, true, true]);
  assert.deepEqual(rule(undefined, undefined), [true, true, true]);
});

test('NP4: a peer of one rule and a port of another do not make a match', () => {
  const ingress = [
    { from: [{ podSelector: web }], ports: [{ port: 1 }] },
    { from: [{ podSelector: db }], ports: [{ port: 80 }] },
  ];
  assert.equal(ask(...cluster, networkPolicy('p', { podSelector: db, ingress })).allowed('web', 'db'), false);
});

test('NP5: podSelector alone means the own namespace, namespaceSelector alone all its pods, both in one item AND, two items OR', () => {
  const reach = (...from: NetworkPolicyPeer[]) => {
    const { allowed } = fromPeer(...from);
    return ['web', 'other/web', outside].map((source) => allowed(source, 'db'));
  };
  const teamB = { matchLabels: { team: 'b' } };
  assert.deepEqual(reach({ podSelector: web }), [true, false, false]);
  assert.deepEqual(reach({ podSelector: {} }), [true, false, false]);
  assert.deepEqual(reach({ namespaceSelector: teamB }), [false, true, false]);
  assert.deepEqual(reach({ namespaceSelector: {} }), [true, true, false]);
  assert.deepEqual(reach({ namespaceSelector: teamB, podSelector: web }), [false, true, false]);
  assert.deepEqual(reach({ namespaceSelector: teamB, podSelector: db }), [false, false, false]);
  assert.deepEqual(reach({ namespaceSelector: teamB }, { podSelector: web }), [true, true, false]);
  assert.deepEqual(reach({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } } }), [
    false,
    true,
    false,
  ]);
});

test('NP5: matchExpressions: In, NotIn, Exists, DoesNotExist; NotIn holds for a label that is absent', () => {
  const reach = (operator: string, key: string, values?: string[]) =>
    fromPeer({ podSelector: { matchExpressions: [{ key, operator, values }] } }).allowed('web', 'db');
  assert.ok(reach('In', 'app', ['web', 'x']));
  assert.equal(reach('In', 'app', ['x']), false);
  assert.equal(reach('In', 'nothing', ['web']), false);
  assert.equal(reach('NotIn', 'app', ['web']), false);
  assert.ok(reach('NotIn', 'app', ['x']));
  assert.ok(reach('NotIn', 'nothing', ['web']));
  assert.ok(reach('Exists', 'app'));
  assert.equal(reach('Exists', 'nothing'), false);
  assert.equal(reach('DoesNotExist', 'app'), false);
  assert.ok(reach('DoesNotExist', 'nothing'));
});

test('NP6: ipBlock is the CIDR without its exceptions, of each family alone; pods have addresses too; another rule may allow an exception', () => {
  const block = (cidr: string, ...except: string[]) => ({ ipBlock: { cidr, except } });
  const outer = fromPeer(block('203.0.113.0/24', '203.0.113.0/29', '203.0.113.64/32'));
  assert.deepEqual(
    ['203.0.113.8', '203.0.113.255', '203.0.113.7', '203.0.113.64', '203.0.114.1', '2001:db8::1'].map((source) =>
      outer.allowed(source, 'db'),
    ),
    [true, true, false, false, false, false],
  );
  assert.ok(fromPeer(block('0.0.0.0/0')).allowed('web', 'db'));
  assert.equal(fromPeer(block('0.0.0.0/0')).allowed('fd00::1', 'fd00::1:2'), false);
  assert.ok(fromPeer(block('::/0')).allowed('fd00::1', 'fd00::1:2'));
  assert.equal(fromPeer(block('0.0.0.0/0', '10.0.0.0/16')).allowed('web', 'db'), false);
  assert.ok(fromPeer(block('0.0.0.0/0', '10.0.0.0/16'), { podSelector: web }).allowed('web', 'db'));
  assert.ok(fromPeer(block('203.0.113.9/24')).allowed(outside, 'db'), 'host bits mean nothing');
});

test('NP7: a port without a protocol is TCP, a protocol without a port all of its ports', () => {
  const { allowed } = onPorts({ port: 80 }, { protocol: 'UDP' });
  assert.deepEqual(
    ['TCP 80', 'TCP 81', 'UDP 1', 'UDP 65535', 'SCTP 80', 'ICMP'].map((port) => allowed('web', 'db', port)),
    [true, false, true, true, false, false],
  );
});

test('NP7: endPort is inclusive', () => {
  const { allowed } = onPorts({ port: 8000, endPort: 8002 });
  assert.deepEqual(
    [7999, 8000, 8002, 8003].map((port) => allowed('web', 'db', `TCP ${port}`)),
    [false, true, true, false],
  );
});

test('NP7: a named port is the number that the destination pod gives it, each its own, by name and protocol', () => {
  const at = (key: string, ip: string, containerPort: number, protocol?: string) =>
    pod(key, ip, { app: 'db' }, { ports: [{ name: 'sql', containerPort, protocol }] });
  const pods = [at('a', '10.0.2.1', 1111), at('b', '10.0.2.2', 2222), at('c', '10.0.2.3', 1111, 'UDP')];
  const ingress = ask(...cluster, ...pods, networkPolicy('p', { podSelector: db, ingress: [{ ports: [{ port: 'sql' }] }] }));
  const egress = ask(
    ...cluster,
    ...pods,
    networkPolicy('p', {
      podSelector: web,
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: db }], ports: [{ port: 'sql' }] }],
    }),
  );
  for (const { allowed } of [ingress, egress]) {
    assert.deepEqual(
      ['a', 'b', 'db'].map((to) => allowed('web', to, 'TCP 1111')),
      [true, false, false],
    );
    assert.deepEqual(
      ['a', 'b'].map((to) => allowed('web', to, 'TCP 2222')),
      [false, true],
    );
    assert.ok(allowed('web', 'db', 'TCP 5432'));
    assert.deepEqual(
      ['TCP 1111', 'UDP 1111'].map((port) => allowed('web', 'c', port)),
      [false, false],
      'a TCP name is not of a UDP port',
    );
  }
});

test('NP7: a named port with an ipBlock on egress matches nothing, even where a pod has the address; on ingress the own pod resolves it', () => {
  const ipBlock = { cidr: '0.0.0.0/0' };
  const egress = networkPolicy('p', {
    podSelector: web,
    policyTypes: ['Egress'],
    egress: [{ to: [{ ipBlock }], ports: [{ port: 'sql' }] }],
  });
  assert.equal(ask(...cluster, egress).allowed('web', 'db', 'TCP 5432'), false);
  const ingress = networkPolicy('p', { podSelector: db, ingress: [{ from: [{ ipBlock }], ports: [{ port: 'sql' }] }] });
  assert.ok(ask(...cluster, ingress).allowed(outside, 'db', 'TCP 5432'));
});

test('NP8: a policy with an SCTP port alone isolates TCP and UDP', () => {
  const { allowed } = onPorts({ protocol: 'SCTP', port: 80 });
  assert.deepEqual(
    ['TCP 80', 'UDP 80', 'SCTP 80', 'SCTP 81'].map((port) => allowed('web', 'db', port)),
    [false, false, true, false],
  );
});

test('NP9: egress of the source and ingress of the destination must both allow it', () => {
  const out = (port: number) =>
    networkPolicy('out', { podSelector: web, policyTypes: ['Egress'], egress: [{ ports: [{ port }] }] });
  const into = (port: number) => networkPolicy('in', { podSelector: db, ingress: [{ ports: [{ port }] }] });
  assert.ok(ask(...cluster, out(80), into(80)).allowed('web', 'db'));
  assert.equal(ask(...cluster, out(81), into(80)).allowed('web', 'db'), false);
  assert.equal(ask(...cluster, out(80), into(81)).allowed('web', 'db'), false);
});

test('NP10: replies and ICMP errors go as their connection goes, whatever the other direction says', () => {
  const { allowed, world } = ask(
    ...cluster,
    networkPolicy('p', { podSelector: web, ingress: [] }),
    networkPolicy('q', { podSelector: db, policyTypes: ['Egress'] }),
  );
  const [from, to] = ['web', 'db'].map(
    (name) => world.pods.find((one) => one.name === name && one.namespace === 'default')!.addresses[0]!,
  );
  const request = { source: from!, destination: to!, protocol: 'TCP' as const, port: 80 };
  assert.ok(allowed('web', 'db'));
  assert.equal(allowed('db', 'web', 'TCP 40000'), false);
  assert.ok(allowed('db', 'web', 'TCP 40000', { answers: request }));
  assert.ok(allowed(outside, 'web', 'ICMP', { answers: request }));
});

test('NP11: a pod reaches its own address whatever policies say, and itself through a Service', () => {
  const { allowed, verdict } = ask(...cluster, networkPolicy('p', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }));
  assert.ok(allowed('db', 'db'));
  assert.ok(allowed('fd00::1:2', 'db'), 'its address of the other family is its own, too');
  assert.ok(allowed('db', 'db', 'TCP 80', { viaService: true }));
  assert.equal(verdict('db', 'db').ingress.reason.code, 'itself');
});

test('NP12: the node a pod runs on reaches it and is reached, other nodes are not exempt', () => {
  const { allowed } = ask(...cluster, networkPolicy('p', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }));
  assert.ok(allowed('n2', 'db'));
  assert.ok(allowed('db', 'n2'));
  assert.equal(allowed('n1', 'db'), false);
  assert.equal(allowed('db', 'n1'), false);
});

test('NP13: a pod of the host network is its node: never a subject nor a peer by labels, an ipBlock matches it', () => {
  const { allowed } = fromPeer({ podSelector: web });
  assert.deepEqual(
    ['web', 'host'].map((source) => allowed(source, 'db')),
    [true, false],
  );
  assert.ok(fromPeer({ ipBlock: { cidr: '192.0.2.3/32' } }).allowed('host', 'db'));
  assert.ok(ask(...cluster, networkPolicy('p', { podSelector: web })).allowed('other/web', 'host'));
});

test('NP16: an echo request goes where a rule has no ports', () => {
  assert.ok(fromPeer({ podSelector: web }).allowed('web', 'db', 'ICMP'));
  assert.equal(onPorts({ protocol: 'TCP' }, { protocol: 'UDP' }, { protocol: 'SCTP' }).allowed('web', 'db', 'ICMP'), false);
});

test('NP17: what came by a Service is judged by the pod and its port', () => {
  const { allowed } = onPorts({ port: 8080 });
  assert.ok(allowed('web', 'db', 'TCP 8080', { viaService: true }));
  assert.equal(allowed('web', 'db', 'TCP 80', { viaService: true }), false);
});

test('NP22: an ended pod has no address: no selector matches it, an ipBlock does', () => {
  for (const phase of ['Succeeded', 'Failed']) {
    const ended = pod('job', '10.0.0.9', { app: 'web' }, { phase });
    const by = (from: NetworkPolicyPeer) =>
      ask(...cluster, ended, networkPolicy('p', { podSelector: db, ingress: [{ from: [from] }] }));
    assert.equal(by({ podSelector: web }).allowed('10.0.0.9', 'db'), false);
    assert.ok(by({ ipBlock: { cidr: '10.0.0.9/32' } }).allowed('10.0.0.9', 'db'));
    const reused = pod('next', '10.0.0.9', { app: 'next' });
    const { allowed } = ask(
      ...cluster,
      reused,
      ended,
      networkPolicy('p', { podSelector: db, ingress: [{ from: [{ podSelector: web }] }] }),
    );
    assert.equal(allowed('10.0.0.9', 'db'), false, 'the address is the next pod’s');
    assert.ok(ask(...cluster, ended, networkPolicy('p', { podSelector: web })).allowed('db', '10.0.0.9'));
  }
});

test('NP20: a change of labels moves a pod in and out, by the objects alone', () => {
  const policy = networkPolicy('p', { podSelector: db, ingress: [{ from: [{ podSelector: web }] }] });
  const labelled = (labels: Record<string, string>) => ask(...cluster, pod('new', '10.0.0.8', labels), policy);
  assert.equal(labelled({}).allowed('new', 'db'), false);
  assert.ok(labelled({ app: 'web' }).allowed('new', 'db'));
});

const wrongRules: readonly (readonly [rule: object, at: string, what: RegExp])[] = [
  [{ from: [{}] }, 'spec.ingress[0].from[0]', /a peer needs/],
  [{ from: [{ serviceSelector: {} }] }, 'spec.ingress[0].from[0]', /unknown field "serviceSelector"/],
  [{ from: [{ podSelector: {} }, { podSelector: { matchGlobs: {} } }] }, 'spec.ingress[0].from[1].podSelector', /unknown field/],
  [
    { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Near', values: ['b'] }] } }] },
    'spec.ingress[0].from[0].podSelector.matchExpressions[0].operator',
    /"Near"/,
  ],
  [
    { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] } }] },
    'spec.ingress[0].from[0].podSelector.matchExpressions[0].operator',
    /"Gt"/,
  ],
  [{ from: [{ podSelector: { matchLabels: { a: 1 } } }] }, 'spec.ingress[0].from[0].podSelector.matchLabels', /a is 1/],
  [{ from: [{ podSelector: {}, ipBlock: { cidr: '0.0.0.0/0' } }] }, 'spec.ingress[0].from[0]', /stands alone/],
  [
    { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/8'] } }] },
    'spec.ingress[0].from[0].ipBlock.except[0]',
    /not inside/,
  ],
  [{ from: [{ ipBlock: { cidr: '10.0.0.0/33' } }] }, 'spec.ingress[0].from[0].ipBlock.cidr', /no CIDR/],
  [{ from: {} }, 'spec.ingress[0].from', /expected a list/],
  [{ ports: [{ port: 80, protocol: 'ICMP' }] }, 'spec.ingress[0].ports[0].protocol', /"ICMP"/],
  [{ ports: [{ port: 80, startPort: 1 }] }, 'spec.ingress[0].ports[0]', /startPort/],
  [{ ports: [{ port: 80, endPort: 79 }] }, 'spec.ingress[0].ports[0].endPort', /80 to 65535, found 79/],
  [{ ports: [{ port: 'sql', endPort: 90 }] }, 'spec.ingress[0].ports[0].endPort', /number/],
  [{ ports: [{ endPort: 90 }] }, 'spec.ingress[0].ports[0].endPort', /number/],
  [{ ports: [{ port: 70000 }] }, 'spec.ingress[0].ports[0].port', /70000/],
  [{ hosts: ['a'] }, 'spec.ingress[0]', /unknown field "hosts"/],
];

test('NP19: a rule that cannot be understood allows nothing and says why; the others go on', () => {
  for (const [rule, at, what] of wrongRules) {
    const { allowed, world } = ask(
      ...cluster,
      networkPolicy('p', { podSelector: db, ingress: [rule, { ports: [{ port: 81 }] }] }),
    );
    const name = JSON.stringify(rule);
    for (const port of ['TCP 80', 'UDP 80', 'ICMP']) assert.equal(allowed('web', 'db', port), false, name);
    assert.ok(allowed('web', 'db', 'TCP 81'), name);
    const problems = world.policies[0]!.problems;
    assert.deepEqual(
      problems.map((one) => [one.at, one.effect]),
      [[at, 'the rule allows nothing']],
      name,
    );
    assert.match(problems[0]!.what, what, name);
  }
});

test('NP19: a policy whose selector, types or fields cannot be understood isolates all that it may mean and allows nothing', () => {
  const open = { ingress: [{}], egress: [{}] };
  for (const spec of [
    { podSelector: { matchExpressions: [{ key: 'a', operator: 'Near' }] }, policyTypes: ['Ingress', 'Egress'], ...open },
    { podSelector: db, policyTypes: ['Both'], ...open },
    { podSelector: db, ...open, serviceSelector: {} },
  ]) {
    const { allowed, world } = ask(...cluster, networkPolicy('p', spec));
    assert.equal(allowed('web', 'db'), false, JSON.stringify(spec));
    assert.equal(allowed('db', 'web'), false, JSON.stringify(spec));
    assert.equal(world.policies[0]!.problems.length, 1);
  }
});

test('the reason names the very policy, rule and peer, or what isolates and how many rules did not match', () => {
  const peers = [{ podSelector: db }, { podSelector: web }];
  const { verdict } = ask(
    ...cluster,
    networkPolicy('p', { podSelector: db, ingress: [{ ports: [{ port: 1 }] }, { from: peers, ports: [{ port: 80 }] }] }),
  );
  assert.equal(
    reasonText(verdict('web', 'db').ingress),
    'allowed by NetworkPolicy default/p, spec.ingress[1], peer from[1], port TCP 80',
  );
  assert.equal(reasonText(verdict('web', 'db').egress), 'no policy isolates its egress');
  assert.equal(
    reasonText(verdict('web', 'db', 'TCP 2').ingress),
    'default deny: isolated by NetworkPolicy default/p, none of its 2 rules matched',
  );
  const { ingress } = verdict('web', 'db', 'TCP 2');
  assert.deepEqual(ingress.reason.code === 'default-deny' && ingress.reason.misses.map(({ by }) => by), ['ports', 'ports']);
});
