import assert from 'node:assert/strict';
import { test } from 'node:test';
import { match, Nft } from '../kernel/nftables/index.ts';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { Prefix } from '../net/prefix.ts';
import { ip, nft, run } from '../testing/judge.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { type Item, NftWriter, Reconciler, RtWriter, SysctlWriter } from './index.ts';

const table = (comment: string): Item => ({ kind: 'nft-table', name: 'podnet', comment });
const set = (key: string): Item => ({ kind: 'nft-set', name: 'blocked', key, flags: [] });
const element = (key: string): Item => ({ kind: 'nft-element', set: 'blocked', key });
const chain = (...protocols: ('tcp' | 'udp' | 'sctp')[]): Item => ({
  kind: 'nft-chain',
  name: 'guard',
  hook: { type: 'filter', hook: 'input', priority: 0, policy: 'accept' },
  rules: protocols.map((name) => match.rule(match.isIn(match.saddr('ipv4'), 'blocked'), match.protocol(name), match.drop)),
});

/** Wishes of every kind of item, in both families. */
const everything: Record<string, Item[]> = {
  node: [
    { kind: 'sysctl', name: 'net/ipv4/ip_forward', value: '1' },
    { kind: 'link', name: 'bridge0', type: 'bridge', mtu: 1400, up: true },
    {
      kind: 'link',
      name: 'vxlan0',
      type: 'vxlan',
      up: true,
      vxlan: { id: 7, port: 4789, local: IpAddr.parse('192.0.2.1'), underlay: 'uplink' },
    },
    { kind: 'link', name: 'ifb0', type: 'ifb', up: true },
    { kind: 'qdisc', link: 'bridge0', rate: 1_250_000, burst: 12_500, limit: 80_000 },
    { kind: 'qdisc', link: 'ifb0', rate: 12_500_000_000, burst: 125_000_000, limit: 750_000_000 },
    { kind: 'redirect', link: 'bridge0', to: 'ifb0' },
    { kind: 'address', link: 'bridge0', address: IpAddr.parse('10.1.0.1'), prefixLength: 24 },
    { kind: 'address', link: 'bridge0', address: IpAddr.parse('fd00:1::1'), prefixLength: 64 },
  ],
  peer: [
    { kind: 'neighbour', link: 'vxlan0', address: IpAddr.parse('10.2.0.0'), mac: Mac.parse('02:00:00:00:00:02') },
    { kind: 'fdb', link: 'vxlan0', mac: Mac.parse('02:00:00:00:00:02'), destination: IpAddr.parse('192.0.2.2') },
    {
      kind: 'route',
      destination: Prefix.parse('10.2.0.0/24'),
      type: 'unicast',
      link: 'vxlan0',
      gateway: IpAddr.parse('10.2.0.0'),
      onlink: true,
    },
    { kind: 'route', destination: Prefix.parse('fd00:9::/64'), type: 'blackhole' },
    { kind: 'proxy', link: 'uplink', address: IpAddr.parse('192.0.2.77') },
    { kind: 'proxy', link: 'uplink', address: IpAddr.parse('fd00:2::77') },
  ],
  service: [table('layout 1'), set('ipv4_addr'), element('10.9.9.9'), element('10.9.9.8'), chain('tcp', 'udp')],
};

/** The namespace, with an uplink and things of others in it, and what writes to it. */
function bed(world: TestWorld): { ns: TestNs; start(): Reconciler & Disposable } {
  const ns = world.namespace('node');
  world.join(ns, ['192.0.2.1/24'], world.namespace('peer'), ['192.0.2.2/24'], ['uplink', 'uplink']);
  run(
    ns.path,
    'nft',
    'add table inet foreign; add chain inet foreign c { type filter hook input priority 5; }; add rule inet foreign c tcp dport 22 accept',
  );
  run(ns.path, 'ip', 'route', 'add', '10.77.0.0/16', 'via', '192.0.2.2', 'proto', 'static');
  run(ns.path, 'ip', 'neigh', 'add', 'proxy', '192.0.2.99', 'dev', 'uplink');
  run(ns.path, 'ip', 'link', 'add', 'theirs', 'type', 'bridge');
  return {
    ns,
    start() {
      const tables = Nft.open(ns.ns);
      const reconciler = new Reconciler([new SysctlWriter(ns.ns), new RtWriter(ns.rt), new NftWriter(tables)]);
      return Object.assign(reconciler, { [Symbol.dispose]: () => tables[Symbol.dispose]() });
    },
  };
}

const wishAll = (reconciler: Reconciler): void => {
  for (const [owner, items] of Object.entries(everything)) reconciler.contribute(owner, items);
};
const keys = (result: { operations: readonly { verb: string; key: string }[] }): string[] =>
  result.operations.map(({ verb, key }) => `${verb} ${key}`);

/** Addresses that links answer for, in both families. */
const proxies = (path: string): string[] =>
  run(path, 'ip', '-d', 'neigh', 'show', 'proxy')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** What belongs to others, as ip and nft show it. */
const foreign = ({ path }: TestNs): unknown => [
  run(path, 'nft', 'list', 'table', 'inet', 'foreign'),
  run(path, 'ip', 'route', 'show', 'proto', 'static'),
  run(path, 'ip', '-o', 'link', 'show', 'theirs'),
  proxies(path).filter((line) => !line.endsWith('proto 112')),
];

test(
  'items of every kind stand in the kernel as ip and nft see it; a second agent writes nothing; what is withdrawn goes, and what is others’ stays (P5, SD30)',
  needsRoot,
  () => {
    using world = new TestWorld('reconcile');
    const { ns, start } = bed(world);
    const theirs = foreign(ns);
    {
      using first = start();
      wishAll(first);
      const { failures } = first.sync();
      assert.deepEqual(
        failures.map(({ key, error }) => `${key}: ${error.message}`),
        [],
      );
      for (const owner of Object.keys(everything)) assert.equal(first.status(owner)?.state, 'done', owner);
      assert.deepEqual(first.sync().operations, []);
    }
    assert.match(run(ns.path, 'nft', 'list', 'table', 'inet', 'podnet'), /ip saddr @blocked .*udp drop/);
    assert.equal(ip(ns.path, 'route', 'show', 'proto', '112').length, 1);
    assert.match(run(ns.path, 'ip', '-6', 'route', 'show', 'proto', '112'), /blackhole fd00:9::\/64/);
    assert.match(run(ns.path, 'bridge', 'fdb', 'show', 'dev', 'vxlan0'), /02:00:00:00:00:02 dst 192\.0\.2\.2/);
    for (const address of ['192.0.2.77', 'fd00:2::77'])
      assert.ok(proxies(ns.path).includes(`${address} dev uplink proxy proto 112`), proxies(ns.path).join('\n'));
    assert.match(run(ns.path, 'tc', 'qdisc', 'show', 'dev', 'bridge0'), /tbf .* root .* rate 10Mbit burst 12500b/);
    assert.match(run(ns.path, 'tc', 'filter', 'show', 'dev', 'bridge0', 'ingress'), /mirred \(Egress Redirect to device ifb0\)/);
    for (const name of ['bridge0', 'vxlan0', 'ifb0']) assert.equal(ip(ns.path, 'link', 'show', name)[0]!.ifalias, 'podnet', name);

    using second = start();
    wishAll(second);
    assert.deepEqual(keys(second.sync()), [], 'a restart writes nothing that is right');
    for (const owner of Object.keys(everything)) second.withdraw(owner);
    assert.deepEqual(second.sync().failures, []);
    assert.doesNotMatch(run(ns.path, 'ip', '-o', 'link'), /bridge0|vxlan0|ifb0/);
    assert.doesNotMatch(run(ns.path, 'nft', 'list', 'tables'), /podnet/);
    assert.equal(run(ns.path, 'ip', 'route', 'show', 'proto', '112'), '');
    assert.doesNotMatch(proxies(ns.path).join(), /112/);
    assert.deepEqual(foreign(ns), theirs);
  },
);

test('F43, F44, P6: what others changed is found and put right, and nothing else is written', needsRoot, () => {
  using world = new TestWorld('reconcile');
  const { ns, start } = bed(world);
  using reconciler = start();
  wishAll(reconciler);
  reconciler.sync();
  const damages: readonly (readonly [command: string, repaired: readonly string[]])[] = [
    ['sysctl -qw net.ipv4.ip_forward=0', ['replace sysctl net/ipv4/ip_forward']],
    ['ip link set bridge0 mtu 1300', ['replace link bridge0']],
    ['ip link set vxlan0 down', ['replace link vxlan0', 'add route 254 10.2.0.0/24', 'add neighbour vxlan0 10.2.0.0']],
    ['ip address del 10.1.0.1/24 dev bridge0', ['add address bridge0 10.1.0.1']],
    ['ip route change 10.2.0.0/24 via 10.2.0.0 dev vxlan0 onlink proto 112 mtu 1280', ['replace route 254 10.2.0.0/24']],
    ['ip route del blackhole fd00:9::/64', ['add route 254 fd00:9::/64']],
    ['ip route add 10.3.0.0/24 dev bridge0 proto 112', ['delete route 254 10.3.0.0/24']],
    ['tc qdisc del dev bridge0 root', ['add qdisc bridge0']],
    ['tc qdisc replace dev ifb0 root tbf rate 1gbit burst 1mb limit 2mb', ['replace qdisc ifb0']],
    ['tc qdisc replace dev ifb0 root handle 7: bfifo', ['add qdisc ifb0']],
    ['tc qdisc del dev bridge0 ingress', ['add redirect bridge0']],
    ['tc filter del dev bridge0 ingress', ['add redirect bridge0']],
    ['ip link del ifb0', ['add link ifb0', 'add qdisc ifb0', 'replace redirect bridge0']],
    ['bridge fdb del 02:00:00:00:00:02 dev vxlan0', ['add fdb vxlan0 02:00:00:00:00:02']],
    ['ip neigh del proxy fd00:2::77 dev uplink', ['add proxy uplink fd00:2::77']],
    ['ip neigh add proxy 192.0.2.78 dev uplink protocol 112', ['delete proxy uplink 192.0.2.78']],
    ['ip neigh change 10.2.0.0 dev vxlan0 lladdr 02:00:00:00:00:09 nud permanent', ['replace neighbour vxlan0 10.2.0.0']],
  ];
  for (const [command, repaired] of damages) {
    run(ns.path, ...command.split(' '));
    assert.deepEqual(reconciler.sync().operations, [], 'without a check nothing is read');
    reconciler.markAll();
    const result = reconciler.sync();
    assert.deepEqual(
      keys(result).filter((key) => !repaired.includes(key)),
      [],
      command,
    );
    assert.ok(result.operations.length > 0 && result.failures.length === 0, command);
    reconciler.markAll();
    assert.deepEqual(keys(reconciler.sync()), [], `after the repair of: ${command}`);
  }
});

test('F40: a table that another process damaged while nobody owned it is made whole by the next agent', needsRoot, () => {
  using world = new TestWorld('reconcile');
  const { ns, start } = bed(world);
  /** The table without numbers of the kernel, and without its flags, which say whether somebody owns it. */
  const plain = (): string =>
    JSON.stringify(nft(ns.path, 'list', 'table', 'inet', 'podnet'), (key, value: unknown) =>
      ['handle', 'metainfo', 'flags'].includes(key) ? undefined : value,
    );
  {
    using first = start();
    wishAll(first);
    first.sync();
  }
  const right = plain();
  for (const damage of [
    'delete element inet podnet blocked { 10.9.9.9 }',
    'add element inet podnet blocked { 1.2.3.4 }',
    'flush chain inet podnet guard',
    'insert rule inet podnet guard accept',
    'add chain inet podnet stray',
    'add set inet podnet unknown { type ether_addr; }',
    'delete table inet podnet',
    'flush ruleset',
  ]) {
    run(ns.path, 'nft', damage);
    if (!/^(delete table|flush ruleset)/.test(damage)) assert.notEqual(plain(), right, damage);
    using next = start();
    wishAll(next);
    assert.deepEqual(next.sync().failures, [], damage);
    assert.equal(plain(), right, damage);
  }
});

test('others who change their own tables all the time do not keep podnet from reading its own', needsRoot, (t) => {
  using world = new TestWorld('reconcile');
  const { ns } = world.namespace('node');
  using tables = Nft.open(ns);
  if (!tables.own('podnet', 'layout 1')) return t.skip('this kernel has no tables with an owner that persist (Linux 6.9)');
  const generation = tables.generation.bind(tables);
  let asked = 0;
  tables.generation = () => generation() + asked++;
  const writer = new NftWriter(tables);
  assert.deepEqual([...writer.observe()], [table('layout 1')]);
  // Twice of them to own the table; one that is read again and again asks dozens of times.
  assert.ok(asked < 6, `asked ${asked} times`);
  assert.throws(
    () => tables.read('podnet'),
    { errno: 'EINTR' },
    'of a table that is open to all, only what belongs together counts',
  );
});

test(
  'a change that nf_tables has no way for replaces the table whole; an item that the kernel refuses spares the others',
  needsRoot,
  () => {
    using world = new TestWorld('reconcile');
    const { ns, start } = bed(world);
    using reconciler = start();
    wishAll(reconciler);
    reconciler.sync();
    reconciler.contribute('service', [table('layout 2'), set('inet_service'), element('443'), chain('sctp')]);
    const { failures } = reconciler.sync();
    const text = run(ns.path, 'nft', 'list', 'table', 'inet', 'podnet');
    // The chain compares addresses with a set of ports: nf_tables may refuse that one.
    assert.match(
      text,
      /layout 2[\s\S]*type inet_service[\s\S]*elements = \{ 443 \}/,
      failures.map(({ error }) => error.message).join(),
    );

    // The destination is a route of somebody else.
    reconciler.contribute('peer', [
      { kind: 'route', destination: Prefix.parse('10.77.0.0/16'), type: 'blackhole' },
      { kind: 'route', destination: Prefix.parse('10.78.0.0/16'), type: 'blackhole' },
    ]);
    assert.deepEqual(
      reconciler.sync().failures.map(({ key }) => key),
      ['route 254 10.77.0.0/16'],
    );
    assert.match(run(ns.path, 'ip', 'route', 'show', '10.77.0.0/16'), /via 192\.0\.2\.2/);
    assert.match(run(ns.path, 'ip', 'route', 'show', '10.78.0.0/16'), /^blackhole/);
    assert.equal(reconciler.status('peer')?.state, 'error');
    run(ns.path, 'ip', 'route', 'del', '10.77.0.0/16');
    assert.deepEqual(reconciler.sync().failures, []);
    assert.equal(reconciler.status('peer')?.state, 'done');
  },
);
