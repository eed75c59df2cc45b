import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { type CheckResult, failureLines, type Report, type VerifyLimits, verify } from './index.ts';
import { nft, route } from './testkit/cluster.ts';
import { dnsAddress, ServiceCluster } from './testkit/services.ts';

const web4 = 'ip daddr 10.96.0.7 tcp dport 80';
const web6 = 'ip6 daddr fd00:96::7 tcp dport 80';
const http = [{ port: 80, protocol: 'TCP' }];

/** Only Services: what pods say to each other is for verify.test.ts. */
async function check(world: ServiceCluster, limits: Partial<VerifyLimits> = {}): Promise<Report> {
  const report = await verify(world.input, { families: ['ipv4'], limits: { timeoutMs: 800, ...limits } });
  return { ...report, checks: report.checks.filter(({ id }) => id.startsWith('service') || id === 'nodeport') };
}

const find = (report: Report, id: string): CheckResult => report.checks.find((one) => one.id === id)!;
const failedIds = (report: Report): string[] => report.checks.filter(({ failed }) => failed > 0).map(({ id }) => id);
/** `from -> seen: why` of each failure. */
const told = (result: CheckResult): string[] => result.failures.map(({ from, seen, why }) => `${from} -> ${seen}: ${why}`);

/** Service web: a and c, on both nodes, right in every way. */
function withWeb(): ServiceCluster {
  const world = new ServiceCluster();
  world.declare('web', ['10.96.0.7', 'fd00:96::7'], { ports: http }, ['a', 'c']);
  for (const pod of ['a', 'c'] as const) world.listen(pod, 80);
  return world;
}

test(
  'SD4a, SD5: Services that are right pass: TCP, UDP, headless, without endpoints, node ports, in both families',
  needsRoot,
  async () => {
    using world = withWeb();
    world.translateAll(web4, ['a', 'c']);
    world.translateAll(web6, ['a', 'c']);
    // Nothing listens on UDP: connection tracking tells all the same where the datagrams went.
    world.declare('log', ['10.96.0.8'], { ports: [{ port: 514, protocol: 'UDP' }] }, ['a', 'b', 'c']);
    world.translateAll('ip daddr 10.96.0.8 udp dport 514', ['a', 'b', 'c']);
    world.declare('peers', ['None'], { ports: http }, ['a', 'b']);
    world.declare(
      'empty',
      ['10.96.0.9'],
      {
        ports: [
          { port: 80, protocol: 'TCP' },
          { port: 81, protocol: 'UDP', name: 'x' },
        ],
      },
      [],
    );
    world.declare('door', ['10.96.0.6'], { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }, ['a', 'c']);
    world.translateAll('ip daddr 10.96.0.6 tcp dport 80', ['a', 'c']);
    for (const [node, address] of [
      [world.cluster.n1, '172.16.0.1'],
      [world.cluster.n2, '172.16.0.2'],
    ] as const) {
      world.translate(node, `ip daddr ${address} tcp dport 30080`, ['a', 'c'], ':80');
      nft(node, `add rule inet svc post meta l4proto tcp ct original ip daddr ${address} ct original proto-dst 30080 masquerade`);
      for (const chain of ['check', 'own']) nft(node, `add rule inet svc ${chain} ip daddr 10.96.0.9 reject`);
    }
    const report = await verify(world.input, { limits: { timeoutMs: 4000 } });
    assert.deepEqual(failureLines(report), []);
    const tried = new Map(report.checks.map((one) => [`${one.family} ${one.protocol} ${one.id}`, one.attempted]));
    // Five Services, two nodes; three senders of TCP where a pod and a node send from each of two nodes.
    assert.equal(tried.get('ipv4 dns service-name'), 10);
    assert.equal(tried.get('ipv6 dns service-name'), 10);
    assert.equal(tried.get('ipv4 tcp service-spread'), 8);
    assert.equal(tried.get('ipv6 tcp service-spread'), 4);
    assert.equal(tried.get('ipv4 udp service-spread'), 4);
    assert.equal(tried.get('ipv4 tcp service-refused'), 4);
    assert.equal(tried.get('ipv4 udp service-refused'), 4);
    assert.equal(tried.get('ipv4 tcp nodeport'), 2);
  },
);

test('SD5: an endpoint that is never chosen is found, on the node that forgets it', needsRoot, async () => {
  using world = withWeb();
  world.translate(world.cluster.n1, web4, ['a', 'c']);
  world.translate(world.cluster.n2, web4, ['a']);
  const report = await check(world);
  assert.deepEqual(failedIds(report), ['service-spread']);
  const { failed, failures } = find(report, 'service-spread');
  assert.equal(failed, 2);
  for (const failure of failures) {
    assert.match(failure.from, /default\/c|node n2/);
    assert.equal(failure.expected, 'each of 10.244.1.2:80, 10.244.2.2:80');
    assert.match(
      failure.why,
      /^node n2 made 31 connections, none to 10\.244\.2\.2:80 \(pod default\/c\); look at: nsenter --net=.*\/n2 nft list/,
    );
  }
});

test('a connection that is sent to somebody who is no endpoint is found, and he is named', needsRoot, async () => {
  using world = withWeb();
  world.translateAll(web4, ['a', 'b', 'c']);
  world.listen('b', 80);
  const report = await check(world);
  assert.deepEqual(failedIds(report), ['service-spread']);
  const result = find(report, 'service-spread');
  assert.equal(result.failed, 4);
  for (const line of told(result))
    assert.match(line, /10\.244\.1\.6:80: pod default\/b, and no endpoint that node n\d may choose/);
});

test('a Service that a node does not know is found', needsRoot, async () => {
  using world = withWeb();
  world.translate(world.cluster.n1, web4, ['a', 'c']);
  nft(world.cluster.n2, 'add rule inet svc check ip daddr 10.96.0.7 drop', 'add rule inet svc own ip daddr 10.96.0.7 drop');
  const report = await check(world);
  const result = find(report, 'service-spread');
  assert.equal(result.failed, 2);
  for (const line of told(result)) assert.match(line, /ETIMEDOUT: .*node n2 tracks no connection/);
});

test('an endpoint that is chosen but cut off is found, whether by silence or by a refusal in its name', needsRoot, async () => {
  using world = withWeb();
  world.translateAll(web4, ['a', 'c']);
  nft(world.cluster.n2, 'add rule inet svc check iifname to-n1 ip daddr 10.244.2.2 tcp dport 80 drop');
  nft(
    world.cluster.c,
    'add table ip t; add chain ip t i { type filter hook input priority 0; }',
    'add rule ip t i tcp dport 80 reject with tcp reset',
  );
  const report = await check(world);
  const lines = told(find(report, 'service-spread')).toSorted();
  assert.equal(lines.length, 4);
  for (const [i, from] of ['node n1', 'node n2', 'pod default/a', 'pod default/c'].entries()) {
    const cutOff =
      from.endsWith('1') || from.endsWith('a')
        ? 'ETIMEDOUT: .*: timed out'
        : 'ECONNREFUSED: .*: refused although a socket listens';
    const target = 'sent to 10\\.244\\.2\\.2:80 \\(pod default/c\\)';
    assert.match(lines[i]!, new RegExp(`^${from} .* -> ${cutOff.replace('.*', target)}`));
  }
});

test('an endpoint on which nothing listens is no fault of the network, but told', needsRoot, async () => {
  using world = new ServiceCluster();
  world.declare('web', ['10.96.0.7'], { ports: http }, ['a', 'c']);
  world.translateAll(web4, ['a', 'c']);
  world.listen('a', 80);
  const report = await check(world);
  assert.deepEqual(failedIds(report), []);
  assert.match(find(report, 'service-spread').note!, /nothing listens at 1 endpoint of default\/web$/);
});

test('an endpoint outside of the cluster that does not answer is no fault of the network, but told', needsRoot, async () => {
  using world = new ServiceCluster();
  world.declare('far', ['10.96.0.7'], { ports: http }, ['a']);
  world.slices[0]!.endpoints![0]!.addresses = ['203.0.113.7'];
  const { n1, n2 } = world.cluster;
  route(n1, '203.0.113.7/32', '172.17.1.254');
  route(n2, '203.0.113.7/32', '172.17.2.254');
  for (const node of [n1, n2])
    for (const chain of ['pre', 'output']) nft(node, `add rule inet svc ${chain} ${web4} dnat ip to 203.0.113.7`);
  const report = await check(world);
  assert.deepEqual(failedIds(report), []);
  assert.match(find(report, 'service-spread').note!, /nothing listens at 1 endpoint outside of the cluster of default\/far$/);
});

test('SD6: a Service without endpoints that leaves clients waiting is found, and one that answers', needsRoot, async () => {
  using world = new ServiceCluster();
  world.declare('empty', ['10.96.0.9'], { ports: http }, []);
  world.listen('b', 80);
  const { n1, n2 } = world.cluster;
  for (const chain of ['check', 'own']) nft(n1, `add rule inet svc ${chain} ip daddr 10.96.0.9 drop`);
  world.translate(n2, 'ip daddr 10.96.0.9 tcp dport 80', ['b']);
  const report = await check(world);
  const result = find(report, 'service-refused');
  assert.deepEqual(result.failures.map(({ from, expected, seen }) => `${from}: ${expected}, ${seen}`).toSorted(), [
    'node n1 (172.16.0.1): refused, silence',
    'node n2 (172.16.0.2): refused, a connection',
    'pod default/a (10.244.1.2): refused, silence',
    'pod default/c (10.244.2.2): refused, a connection',
  ]);
  assert.equal(result.failed, 4);
});

test('D1: a name that resolves to something else, to nothing, or not at all is found', needsRoot, async () => {
  using world = withWeb();
  world.translateAll(web4, ['a', 'c']);
  world.names.set('web.default.svc.cluster.local.', ['10.96.0.66']);
  world.declare('gone', ['None'], { ports: http }, ['a']);
  world.names.delete('gone.default.svc.cluster.local.');
  world.declare('half', ['None'], { ports: http }, ['a', 'b']);
  world.names.set('half.default.svc.cluster.local.', ['10.244.1.2']);
  world.declare('mute', ['None'], { ports: http }, ['a']);
  world.names.set('mute.default.svc.cluster.local.', ['silence']);
  const report = await check(world);
  assert.deepEqual(failedIds(report), ['service-name']);
  const result = find(report, 'service-name');
  assert.equal(result.failed, 8);
  const lines = failureLines(report).join('\n');
  const to = (name: string): string => `A ${name}\\.default\\.svc\\.cluster\\.local at ${dnsAddress.replaceAll('.', '\\.')}`;
  assert.match(lines, new RegExp(`pod default/c .*${to('web')}: expected 10\\.96\\.0\\.7, seen 10\\.96\\.0\\.66: `));
  assert.match(lines, new RegExp(`${to('gone')}: expected 10\\.244\\.1\\.2, seen NXDOMAIN: `));
  assert.match(
    lines,
    new RegExp(`${to('half')}: expected .*, seen 10\\.244\\.1\\.2: 1 of 2 addresses are missing; look at: nsenter .* dig`),
  );
  assert.match(lines, new RegExp(`${to('mute')}: expected .*, seen no answer: no answer from ${dnsAddress}`));
});

test('SD10: a node port that is dead on one node is found', needsRoot, async () => {
  using world = withWeb();
  world.services[0]!.spec = { ...world.services[0]!.spec, type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] };
  world.translateAll(web4, ['a', 'c']);
  world.translate(world.cluster.n1, 'ip daddr 172.16.0.1 tcp dport 30080', ['a', 'c'], ':80');
  nft(
    world.cluster.n1,
    'add rule inet svc post meta l4proto tcp ct original ip daddr 172.16.0.1 ct original proto-dst 30080 masquerade',
  );
  const report = await check(world);
  assert.deepEqual(failedIds(report), ['nodeport']);
  const [failure, ...more] = find(report, 'nodeport').failures;
  assert.deepEqual(more, []);
  assert.equal(failure!.to, 'Service default/web:80 (node port 172.16.0.2:30080)');
  assert.equal(failure!.from, 'outside (172.17.1.254)');
  assert.match(failure!.why, /connection refused.*node n2 sends it to no endpoint/);
});

test(
  'SD14: with policy Local a node without endpoints is silent, and the source stays; otherwise it is found',
  needsRoot,
  async () => {
    using world = new ServiceCluster();
    const { n1, n2 } = world.cluster;
    const ports = [{ port: 80, nodePort: 30080 }];
    world.declare('web', ['10.96.0.7'], { type: 'NodePort', externalTrafficPolicy: 'Local', ports }, ['a']);
    world.listen('a', 80);
    world.translateAll(web4, ['a']);
    world.translate(n1, 'ip daddr 172.16.0.1 tcp dport 30080', ['a'], ':80');
    nft(n2, 'add chain inet svc in { type filter hook input priority 0; }', 'add rule inet svc in tcp dport 30080 drop');
    assert.deepEqual(failedIds(await check(world)), []);

    nft(n1, 'add rule inet svc post meta l4proto tcp ct original ip daddr 172.16.0.1 ct original proto-dst 30080 masquerade');
    world.translate(n2, 'ip daddr 172.16.0.2 tcp dport 30080', ['a'], ':80');
    nft(n2, 'add rule inet svc post meta l4proto tcp ct original ip daddr 172.16.0.2 ct original proto-dst 30080 masquerade');
    const report = await check(world);
    const failures = find(report, 'nodeport')
      .failures.map(({ to, expected, seen }) => `${to}: ${expected}, ${seen}`)
      .toSorted();
    assert.equal(failures.length, 2);
    assert.match(failures[0]!, /172\.16\.0\.1:30080\): source 172\.17\.1\.254, source 10\.244\.1\.\d$/);
    assert.match(failures[1]!, /172\.16\.0\.2:30080\): silence, a connection$/);
  },
);

test('with many Services so many are tried as the limit says, and the report tells', needsRoot, async () => {
  using world = withWeb();
  world.translateAll(web4, ['a', 'c']);
  for (let i = 0; i < 9; i++) world.declare(`s${i}`, ['None'], { ports: http }, []);
  const { attempted, note } = find(await check(world, { servicesUpTo: 4, seed: 7 }), 'service-name');
  assert.equal(attempted, 8);
  assert.equal(note, 'sampled 4 of 10 Services, seed 7');
});
