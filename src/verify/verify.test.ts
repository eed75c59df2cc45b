import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeSysctl } from '../kernel/sysctl.ts';
import { Prefix } from '../net/prefix.ts';
import { readNetworkPolicy } from '../policy/read-network-policy.ts';
import { makeWorld } from '../policy/world.ts';
import { needsRoot } from '../testing/root.ts';
import { conclusionOf, failureLines, type Report, type VerifyOptions, verify } from './index.ts';
import { nft, SmallCluster } from './testkit/cluster.ts';

const limits = { timeoutMs: 4000 };
/** What is broken is waited for; nothing else is. */
const short = { limits: { timeoutMs: 500 } };

/** `ipv4 udp pod-pod` for each check that failed. */
const broken = (report: Report): string[] =>
  report.checks.filter((check) => check.failed > 0).map((check) => `${check.family} ${check.protocol} ${check.id}`);

const check = async (world: SmallCluster, options: VerifyOptions = { limits }): Promise<Report> => verify(world.input, options);

test('a cluster that keeps the network model passes every check, in both families', needsRoot, async () => {
  using world = new SmallCluster();
  const report = await check(world);
  assert.deepEqual(failureLines(report), []);
  assert.equal(report.ok, true);
  const tried = new Map(report.checks.map((c) => [`${c.family} ${c.protocol} ${c.id}`, c.attempted]));
  for (const family of ['ipv4', 'ipv6']) {
    for (const protocol of ['tcp', 'udp', 'icmp']) {
      assert.equal(tried.get(`${family} ${protocol} pod-pod`), 6);
      assert.equal(tried.get(`${family} ${protocol} node-pod`), 6);
      assert.equal(tried.get(`${family} ${protocol} pod-outside`), 3);
      assert.equal(tried.get(`${family} ${protocol} pod-hostnet`), 3);
    }
    assert.equal(tried.get(`${family} udp pod-pod-fragments`), 6);
    assert.equal(tried.get(`${family} icmp pod-pod-mtu`), 6);
    assert.equal(tried.get(`${family} icmp pod-too-big`), 3);
    assert.equal(tried.get(`${family} udp forged`), 3);
  }
  assert.match(conclusionOf(report), /The network keeps its word/);
});

test('NP3: pairs that policies forbid must be kept apart: a cluster that does not enforce them is found', needsRoot, async () => {
  using world = new SmallCluster();
  const pods = world.input.pods.map(({ namespace, name, node, ips, hostNetwork }) => ({
    ...{ namespace, name, node, hostNetwork, addresses: ips, labels: { app: name }, ended: false, ports: [] },
  }));
  const deny = readNetworkPolicy({
    metadata: { namespace: 'default', name: 'deny' },
    spec: { podSelector: { matchLabels: { app: 'a' } }, policyTypes: ['Ingress'] },
  });
  const nodes = world.input.nodes.map(({ name, addresses }) => ({ name, addresses, labels: {} }));
  const report = await verify({ ...world.input, policies: makeWorld({ pods, nodes, policies: [deny] }) }, { limits });
  const expected = ['ipv4', 'ipv6'].flatMap((family) =>
    ['pod-pod-denied', 'node-pod-denied', 'hostnet-pod-denied'].flatMap((id) =>
      ['tcp', 'udp', 'icmp'].map((protocol) => `${family} ${protocol} ${id}`),
    ),
  );
  assert.deepEqual(broken(report).toSorted(), expected.toSorted());
  const found = report.checks.find(({ id, family, protocol }) => `${family} ${protocol} ${id}` === 'ipv4 tcp pod-pod-denied')!;
  assert.deepEqual([found.attempted, found.failures[0]?.seen], [2, 'an answer']);
});

test('T1: a node that lets a pod send with the addresses of others is found', needsRoot, async () => {
  using world = new SmallCluster();
  nft(world.n1, 'flush chain inet door pre');
  // Else the kernel's own look at the way back may do.
  for (const [ns, links] of [
    [world.n1, ['all', 'to-a', 'to-b']],
    [world.n2, ['all', 'to-n1']],
  ] as const)
    for (const link of links) writeSysctl(ns.ns, `net/ipv4/conf/${link}/rp_filter`, 0);
  const report = await check(world);
  assert.deepEqual(broken(report), ['ipv4 udp forged', 'ipv6 udp forged']);
  for (const { id, failed, failures } of report.checks) {
    if (id !== 'forged') continue;
    // Of a and b; c is on the other node.
    assert.equal(failed, 2);
    assert.match(failures[0]!.seen, /^what pod default\/a sent as \S+( and \S+)+$/);
    for (const { why } of failures) assert.equal(why, 'the node lets its pods send with addresses that are not theirs');
  }
});

test('NM7: masqueraded traffic between pods is found, and named', needsRoot, async () => {
  using world = new SmallCluster();
  nft(world.n1, 'add rule inet out post ip daddr 10.244.2.0/24 masquerade');
  const report = await check(world, { limits, families: ['ipv4'] });
  assert.equal(report.ok, false);
  const ids = [
    'ipv4 tcp pod-pod',
    'ipv4 udp pod-pod',
    'ipv4 udp pod-pod-fragments',
    'ipv4 icmp pod-pod',
    'ipv4 icmp pod-pod-mtu',
  ];
  assert.deepEqual(broken(report), ids);
  const [pods] = report.checks;
  assert.equal(pods!.failed, 2);
  const [first] = pods!.failures;
  assert.equal(first!.seen, 'source 172.16.0.1');
  assert.equal(first!.why, 'that is node n1: masqueraded');
});

test('an echo request that gets another identifier by NAT is still known, and its source told', needsRoot, async () => {
  using world = new SmallCluster();
  // Another identifier for every request, not only when two collide.
  for (const node of [world.n1, world.n2])
    nft(node, 'flush chain inet out post', 'add rule inet out post masquerade fully-random');
  const report = await check(world, { limits, families: ['ipv4'] });
  const outside = report.checks.find((c) => c.id === 'pod-outside' && c.protocol === 'icmp')!;
  assert.deepEqual([outside.attempted, outside.failed], [3, 0]);
  // Pods are masqueraded to pods as well now: the receiver's socket must tell it.
  const pods = report.checks.find((c) => c.id === 'pod-pod' && c.protocol === 'icmp')!;
  assert.equal(pods.failed, 6);
  for (const { why } of pods.failures) assert.match(why, /masqueraded/);
});

test('UDP that is dropped is found, and nothing else', needsRoot, async () => {
  using world = new SmallCluster();
  nft(
    world.n2,
    'add table inet t; add chain inet t f { type filter hook forward priority 0; }',
    'add rule inet t f ip daddr 10.244.2.2 udp length < 200 drop',
  );
  const report = await check(world, { ...short, families: ['ipv4'] });
  // Small answers to a datagram in fragments are dropped as well when c asked.
  const all = ['pod-pod', 'pod-pod-fragments', 'node-pod', 'pod-node', 'hostnet-pod', 'pod-hostnet', 'pod-outside'];
  for (const id of broken(report))
    assert.ok(
      all.some((name) => id.startsWith(`ipv4 udp ${name}`)),
      id,
    );
  const pods = report.checks.find((c) => c.id === 'pod-pod' && c.protocol === 'udp')!;
  assert.equal(pods.failed, 4);
  const whys = pods.failures.map((failure) => failure.why).join('\n');
  assert.match(whys, /the datagram never arrived/);
  assert.match(whys, /the datagram arrived \(from 10\.244\.2\.2\), its answer was lost/);
});

test('a pod that may answer but not ask is found over every protocol', needsRoot, async () => {
  using world = new SmallCluster();
  nft(
    world.n2,
    'add table inet t; add chain inet t f { type filter hook forward priority 0; }',
    'add rule inet t f ip saddr 10.244.2.2 ct state new drop',
  );
  const report = await check(world, { ...short, families: ['ipv4'] });
  for (const protocol of ['tcp', 'udp', 'icmp'])
    for (const [id, failed] of Object.entries({ 'pod-pod': 2, 'node-pod': 0, 'pod-node': 1 }))
      assert.equal(report.checks.find((c) => c.id === id && c.protocol === protocol)!.failed, failed, `${id} ${protocol}`);
});

test('fragments that are dropped are found by the large datagrams alone', needsRoot, async () => {
  using world = new SmallCluster();
  // Before connection tracking puts them together.
  nft(
    world.n1,
    'add table ip t; add chain ip t p { type filter hook prerouting priority -450; }',
    'add rule ip t p iifname to-n2 ip frag-off & 0x3fff != 0 drop',
  );
  const report = await check(world, { ...short, families: ['ipv4'] });
  assert.deepEqual(broken(report), [
    'ipv4 udp pod-pod-fragments',
    'ipv4 udp node-pod-fragments',
    'ipv4 udp pod-node-fragments',
    'ipv4 udp hostnet-pod-fragments',
  ]);
});

test('NM8: a smaller MTU on the way is found, with the number told or as a black hole', needsRoot, async () => {
  using world = new SmallCluster();
  world.n1.rt.setLink(world.n1.index('to-n2'), { mtu: 1400 });
  const told = await check(world, { ...short, families: ['ipv4'] });
  const mtu = told.checks.find((c) => c.id === 'pod-pod-mtu')!;
  const whys = mtu.failures.map(({ why }) => why);
  assert.equal(whys.filter((why) => /^EMSGSIZE: the MTU is 1400, said by 10\.244\.1\./.test(why)).length, 2);
  // The other end of the link thinks that it carries more.
  assert.equal(whys.filter((why) => why.includes('timed out') && why.includes('it never arrived')).length, 2);
  assert.equal(mtu.failed, 4);
});

test('a smaller MTU to the outside is no fault when the number is told, and one when it is not', needsRoot, async () => {
  using world = new SmallCluster();
  world.n2.rt.setLink(world.n2.index('to-outside'), { mtu: 1400 });
  world.outside.rt.setLink(world.outside.index('to-n2'), { mtu: 1400 });
  assert.deepEqual(failureLines(await check(world)), []);
  nft(
    world.n2,
    'add table inet t; add chain inet t o { type filter hook output priority 0; }',
    'add rule inet t o icmp type destination-unreachable drop',
  );
  const silent = await check(world, { ...short, families: ['ipv4'] });
  assert.deepEqual(broken(silent), ['ipv4 icmp pod-outside-mtu']);
  assert.equal(silent.checks.find((c) => c.id === 'pod-outside-mtu')!.failed, 1);
});

test('a route that is missing one way is found', needsRoot, async () => {
  using world = new SmallCluster();
  world.n2.rt.deleteRoute({ destination: Prefix.parse('fd00:244:1::/48') });
  const report = await check(world, { ...short, families: ['ipv6'] });
  const pods = report.checks.find((c) => c.id === 'pod-pod' && c.protocol === 'tcp')!;
  assert.equal(pods.failed, 4);
  assert.ok(broken(report).includes('ipv6 icmp node-pod'));
});

test('a pod without the address that the API says is found', needsRoot, async () => {
  using world = new SmallCluster();
  const { input } = world;
  const [a, b] = input.pods;
  const report = await verify({ ...input, pods: [a!, { ...b!, ips: input.pods[2]!.ips }] }, { limits });
  assert.deepEqual(broken(report).slice(0, 1), ['ipv4 tcp places']);
  assert.match(report.checks[0]!.failures[0]!.why, /EADDRNOTAVAIL/);
});
