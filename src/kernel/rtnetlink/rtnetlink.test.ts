import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { Prefix } from '../../net/prefix.ts';
import { bridge, ip, run } from '../../testing/judge.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { isExists, KernelError } from '../errors.ts';
import { BatchError, RtNetlink } from './rtnetlink.ts';

const at = IpAddr.parse;
const mac = Mac.parse('ee:ee:ee:ee:ee:ee');

interface IpLink {
  ifindex: number;
  ifname: string;
  mtu: number;
  address: string;
  group: string;
  num_tx_queues: number;
  operstate: string;
  flags: string[];
  linkinfo?: { info_kind: string; info_data: Record<string, unknown>; info_slave_data?: Record<string, unknown> };
  inet6_addr_gen_mode?: string;
  ifalias?: string;
  master?: string;
}
interface IpAddress {
  ifname: string;
  addr_info: { local: string; prefixlen: number; scope: string; address?: string; nodad?: boolean; noprefixroute?: boolean }[];
}
interface IpRoute {
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
  prefsrc?: string;
  protocol: string;
  scope?: string;
  metric?: number;
  flags: string[];
  metrics?: { mtu: number }[];
  via?: { family: string; host: string };
}

test(
  'a veth pair is made straight into another namespace, with chosen indexes, one queue, MACs, MTU and group',
  needsRoot,
  () => {
    using world = new TestWorld('rtnetlink');
    const node = world.namespace('node');
    const pod = world.namespace('pod');
    node.rt.addLink({
      type: 'veth',
      name: 'pod0',
      index: 100,
      mtu: 1450,
      mac,
      group: 28783,
      up: true,
      peer: { name: 'eth0', index: 2, mtu: 1450, mac: Mac.parse('0a:58:0a:00:00:01'), netNs: pod.ns.fd },
    });
    // The kernel takes no alias when it makes a link.
    node.rt.setLink(100, { alias: 'pod default/a' });
    pod.rt.setLink(2, { addrGenMode: 'none', up: true });
    const [host] = ip<IpLink>(node.path, '-d', 'link', 'show', 'pod0');
    assert.equal(host?.ifindex, 100);
    assert.equal(host.mtu, 1450);
    assert.equal(host.address, 'ee:ee:ee:ee:ee:ee');
    assert.equal(host.group, '28783');
    assert.equal(host.num_tx_queues, 1);
    assert.equal(host.ifalias, 'pod default/a');
    assert.equal(host.linkinfo?.info_kind, 'veth');
    const [eth0] = ip<IpLink>(pod.path, '-d', 'link', 'show', 'eth0');
    assert.equal(eth0?.ifindex, 2);
    assert.equal(eth0.address, '0a:58:0a:00:00:01');
    assert.equal(eth0.num_tx_queues, 1);
    assert.equal(eth0.inet6_addr_gen_mode, 'none');
    assert.equal(eth0.operstate, 'UP');
    const ours = node.rt.link('pod0');
    assert.equal(ours?.link, 2);
    assert.ok(ours.up && ours.carrier && ours.mac?.equals(mac));
    assert.deepEqual([ours.type, ours.mtu, ours.group, ours.txQueues, ours.alias], ['veth', 1450, 28783, 1, 'pod default/a']);
    assert.equal(pod.rt.link(2)?.addrGenMode, 'none');
  },
);

test('an existing name is refused with the kernel’s own words, and nothing half-made stays', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const a = world.namespace('a');
  const spec = { type: 'veth', name: 'x', peer: { name: 'y' } } as const;
  a.rt.addLink(spec);
  assert.throws(() => a.rt.addLink({ ...spec, name: 'z' }), isExists);
  assert.deepEqual(
    a.rt
      .links()
      .map(({ name }) => name)
      .sort(),
    ['lo', 'x', 'y'],
  );
  assert.throws(
    () => a.rt.addLink({ type: 'vxlan', name: 'v', vxlan: { id: 1 << 24 } }),
    (error) => error instanceof KernelError && error.extack !== undefined && error.message.includes('add link'),
  );
  assert.equal(a.rt.link('absent'), undefined);
  assert.equal(a.rt.link(4711), undefined);
});

test('VXLAN and bridge options arrive in the kernel and are read back', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const a = world.namespace('a');
  const b = world.namespace('b');
  world.join(a, ['192.0.2.1/24', '2001:db8::1/64'], b, []);
  const underlay = a.index('to-b');
  a.rt.addLink({
    type: 'vxlan',
    name: 'vx4',
    mtu: 1450,
    vxlan: { id: 7, port: 4789, local: at('192.0.2.1'), link: underlay, learning: false },
  });
  a.rt.addLink({
    type: 'vxlan',
    name: 'vx6',
    vxlan: { id: 8, port: 4790, local: at('2001:db8::1'), link: underlay, learning: false, udpZeroChecksum6Rx: true },
  });
  const info = (name: string): Record<string, unknown> => ip<IpLink>(a.path, '-d', 'link', 'show', name)[0]!.linkinfo!.info_data;
  assert.deepEqual(
    [info('vx4').id, info('vx4').port, info('vx4').local, info('vx4').learning, info('vx4').link],
    [7, 4789, '192.0.2.1', false, 'to-b'],
  );
  assert.deepEqual([info('vx6').id, info('vx6').local6, info('vx6').udp_zero_csum6_rx], [8, '2001:db8::1', true]);
  const vx4 = a.rt.link('vx4')!.vxlan!;
  assert.deepEqual([vx4.id, vx4.port, vx4.local?.toString(), vx4.link, vx4.learning], [7, 4789, '192.0.2.1', underlay, false]);
  assert.equal(a.rt.link('vx6')!.vxlan!.local?.toString(), '2001:db8::1');

  a.rt.addLink({ type: 'bridge', name: 'cbr0', up: true, mac, bridge: { multicastSnooping: false } });
  const cbr0 = a.index('cbr0');
  a.rt.addLink({ type: 'veth', name: 'p0', up: true, master: cbr0, peer: { name: 'p1' } });
  a.rt.setLink(a.index('p0'), { port: { isolated: true, hairpin: true, learning: false, neighbourSuppress: true } });
  assert.equal(info('cbr0').mcast_snooping, 0);
  const [p0] = ip<IpLink>(a.path, '-d', 'link', 'show', 'p0');
  assert.equal(p0?.master, 'cbr0');
  const slave = p0.linkinfo!.info_slave_data!;
  assert.deepEqual([slave.isolated, slave.hairpin, slave.learning, slave.neigh_suppress], [true, true, false, true]);
  const port = a.rt.link('p0')!.port!;
  assert.deepEqual([port.isolated, port.hairpin, port.learning, port.unicastFlood], [true, true, false, true]);
  assert.equal(a.rt.link('cbr0')!.bridge!.multicastSnooping, false);
  a.rt.setLink(a.index('p0'), { master: null });
  assert.equal(a.rt.link('p0')!.master, undefined);
});

test('links change and go: name, MTU, MAC, down, one by one and by group', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const { rt, path } = world.namespace('a');
  rt.batch((b) => {
    for (let i = 0; i < 4; i++) b.addLink({ type: 'veth', name: `a${i}`, group: i < 2 ? 77 : 0, peer: { name: `b${i}` } });
  });
  const index = rt.link('a3')!.index;
  rt.setLink(index, { name: 'renamed', mtu: 1280, mac, up: true, arp: false });
  const [renamed] = ip<IpLink>(path, 'link', 'show', 'renamed');
  assert.deepEqual([renamed?.mtu, renamed?.address], [1280, 'ee:ee:ee:ee:ee:ee']);
  assert.ok(renamed?.flags.includes('UP') && renamed.flags.includes('NOARP'));
  rt.setLink(index, { up: false });
  assert.equal(rt.link('renamed')!.up, false);
  rt.setLink(index, {});
  rt.deleteLinkGroup(77);
  rt.deleteLinkGroup(77);
  rt.deleteLink({ name: 'a2' });
  rt.deleteLink({ name: 'a2' });
  rt.deleteLink(index);
  rt.deleteLink(index);
  assert.deepEqual(
    ip<IpLink>(path, 'link').map(({ ifname }) => ifname),
    ['lo'],
  );
});

test('addresses of both families are added, listed as ip lists them, and deleted twice without complaint', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const a = world.namespace('a');
  const b = world.namespace('b');
  world.join(a, [], b, []);
  const link = a.index('to-b');
  a.rt.addAddress({ link, address: at('10.1.2.3'), prefixLength: 24, flags: ['noprefixroute'] });
  a.rt.addAddress({ link, address: at('10.9.9.9'), prefixLength: 32, peer: at('10.9.9.1'), scope: 'link' });
  a.rt.addAddress({ link, address: at('fd00::3'), prefixLength: 64, flags: ['nodad'] });
  assert.throws(() => a.rt.addAddress({ link, address: at('10.1.2.3'), prefixLength: 24 }), isExists);
  a.rt.replaceAddress({ link, address: at('fd00::3'), prefixLength: 64, flags: ['nodad', 'noprefixroute'] });
  const judged = ip<IpAddress>(a.path, 'addr', 'show', 'to-b')[0]!.addr_info;
  assert.deepEqual(
    judged.map(({ local, prefixlen, scope, address, nodad, noprefixroute }) => [
      local,
      prefixlen,
      scope,
      address,
      nodad,
      noprefixroute,
    ]),
    [
      // The kernel puts narrower scopes first.
      ['10.9.9.9', 32, 'link', '10.9.9.1', undefined, undefined],
      ['10.1.2.3', 24, 'global', undefined, undefined, true],
      ['fd00::3', 64, 'global', undefined, true, true],
    ],
  );
  const ours = a.rt.addresses({ link });
  assert.deepEqual(
    ours.map(({ address, prefixLength, peer, scope, flags }) => [`${address}/${prefixLength}`, peer?.toString(), scope, flags]),
    [
      ['10.9.9.9/32', '10.9.9.1', 'link', ['permanent']],
      ['10.1.2.3/24', undefined, 'global', ['permanent', 'noprefixroute']],
      ['fd00::3/64', undefined, 'global', ['nodad', 'permanent', 'noprefixroute']],
    ],
  );
  assert.deepEqual(
    a.rt.addresses({ family: 'ipv6', link }).map(({ address }) => address.toString()),
    ['fd00::3'],
  );
  assert.ok(a.rt.addresses().some(({ address }) => address.toString() === '127.0.0.1'));
  for (const address of [...ours, ...ours]) a.rt.deleteAddress(address);
  assert.deepEqual(a.rt.addresses({ link }), []);
});

test(
  'routes: on-link gateways, preferred source, MTU, tables, types and the podnet protocol, for both families',
  needsRoot,
  () => {
    using world = new TestWorld('rtnetlink');
    const a = world.namespace('a');
    const b = world.namespace('b');
    world.join(a, ['10.0.0.1/24', 'fd00::1/64'], b, ['10.0.0.2/24', 'fd00::2/64']);
    const link = a.index('to-b');
    const p = Prefix.parse;
    const routes = [
      { destination: p('10.244.1.0/24'), gateway: at('10.0.0.2'), source: at('10.0.0.1'), mtu: 1450 },
      { destination: p('10.244.2.7/32'), link },
      { destination: p('169.254.9.9/32'), link, gateway: at('169.254.1.1'), onlink: true },
      { destination: p('10.244.3.0/24'), gateway: at('fd00::2'), link },
      { destination: p('0.0.0.0/0'), gateway: at('10.0.0.2'), metric: 50, protocol: 4 },
      { destination: p('10.244.0.0/16'), type: 'blackhole' },
      { destination: p('10.96.0.10/32'), type: 'local', link: 1, table: 255 },
      { destination: p('10.200.0.0/16'), gateway: at('10.0.0.2'), table: 1000 },
      { destination: p('fd00:10::/64'), gateway: at('fd00::2'), source: at('fd00::1'), mtu: 1430 },
      { destination: p('fd00:20::7/128'), link },
      { destination: p('::/0'), gateway: at('fe80::1'), onlink: true, link },
      { destination: p('fd00:30::/48'), type: 'unreachable', metric: 10 },
    ] as const;
    a.rt.batch((batch) => {
      for (const route of routes) batch.addRoute(route);
    });
    const judged = [
      ...ip<IpRoute>(a.path, '-d', '-4', 'route', 'show', 'table', 'all', 'proto', '112'),
      ...ip<IpRoute>(a.path, '-d', '-6', 'route', 'show', 'table', 'all', 'proto', '112'),
    ];
    const seen = (dst: string): Partial<IpRoute> | undefined => judged.find((route) => route.dst === dst);
    assert.equal(judged.length, routes.length - 1);
    assert.deepEqual([seen('10.244.1.0/24')?.gateway, seen('10.244.1.0/24')?.prefsrc], ['10.0.0.2', '10.0.0.1']);
    assert.equal(seen('10.244.1.0/24')?.metrics?.[0]?.mtu, 1450);
    assert.deepEqual([seen('10.244.2.7')?.dev, seen('10.244.2.7')?.scope], ['to-b', 'link']);
    assert.ok(seen('169.254.9.9')?.flags?.includes('onlink'));
    assert.equal(seen('10.244.3.0/24')?.via?.host, 'fd00::2');
    assert.equal(seen('10.244.0.0/16')?.type, 'blackhole');
    assert.deepEqual([seen('fd00:10::/64')?.prefsrc, seen('fd00:10::/64')?.metrics?.[0]?.mtu], ['fd00::1', 1430]);
    assert.equal(seen('default')?.gateway, 'fe80::1');
    assert.deepEqual([seen('fd00:30::/48')?.type, seen('fd00:30::/48')?.metric], ['unreachable', 10]);

    const ours = a.rt.routes({ protocol: 112 });
    assert.equal(ours.length, routes.length - 1);
    const back = (destination: string) => ours.find((route) => route.destination.toString() === destination)!;
    for (const route of routes.filter((r) => !('protocol' in r))) {
      const got = back(route.destination.toString());
      for (const [key, value] of Object.entries(route)) {
        const read = got[key as keyof typeof got];
        assert.equal(String(read), String(value), `${route.destination} ${key}`);
      }
    }
    assert.deepEqual(
      a.rt.routes({ table: 1000, family: 'ipv4' }).map(({ destination }) => destination.toString()),
      ['10.200.0.0/16'],
    );
    assert.deepEqual(a.rt.routes({ table: 4711 }), []);

    a.rt.replaceRoute({ destination: p('10.244.1.0/24'), type: 'unreachable' });
    a.rt.replaceRoute({ destination: p('fd00:10::/64'), gateway: at('fd00::3') });
    assert.equal(ip<IpRoute>(a.path, 'route', 'show', '10.244.1.0/24')[0]?.type, 'unreachable');
    assert.deepEqual(
      ip<IpRoute>(a.path, '-6', 'route', 'show', 'fd00:10::/64').map(({ gateway }) => gateway),
      ['fd00::3'],
    );
    for (const { destination, table } of [...ours, ...ours]) a.rt.deleteRoute({ destination, table });
    assert.deepEqual(a.rt.routes({ protocol: 112 }), []);
    assert.equal(a.rt.routes({ protocol: 4 }).length, 1);
  },
);

test('neighbours and proxies of both families', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const a = world.namespace('a');
  const b = world.namespace('b');
  world.join(a, ['10.0.0.1/24', 'fd00::1/64'], b, []);
  const link = a.index('to-b');
  // The kernel's own for multicast (noarp) come and go; `ip neigh` does not show them either.
  const listed = () => a.rt.neighbours({ link }).filter(({ state }) => !state?.includes('noarp'));
  for (const address of ['169.254.1.1', 'fe80::1'].map(at)) {
    a.rt.addNeighbour({ link, address, mac });
    a.rt.replaceNeighbour({ link, address, mac: Mac.parse('02:00:00:00:00:01') });
    a.rt.addProxy(link, address);
    a.rt.addProxy(link, address);
  }
  interface IpNeigh {
    dst: string;
    lladdr: string;
    state: string[];
  }
  assert.deepEqual(
    ip<IpNeigh>(a.path, 'neigh')
      .map(({ dst, lladdr, state }) => [dst, lladdr, state[0]])
      .sort(),
    [
      ['169.254.1.1', '02:00:00:00:00:01', 'PERMANENT'],
      ['fe80::1', '02:00:00:00:00:01', 'PERMANENT'],
    ],
  );
  assert.equal(run(a.path, 'ip', 'neigh', 'show', 'proxy').trim().split('\n').length, 2);
  assert.deepEqual(
    listed().map(({ address, mac: m, state }) => [String(address), String(m), state]),
    [
      ['169.254.1.1', '02:00:00:00:00:01', ['permanent']],
      ['fe80::1', '02:00:00:00:00:01', ['permanent']],
    ],
  );
  assert.deepEqual(
    a.rt.proxies({ link }).map(({ address }) => String(address)),
    ['169.254.1.1', 'fe80::1'],
  );
  for (const address of ['169.254.1.1', 'fe80::1', 'fe80::1'].map(at)) {
    a.rt.deleteNeighbour({ link, address });
    a.rt.deleteProxy(link, address);
  }
  assert.deepEqual([listed(), a.rt.proxies({ link })], [[], []]);
});

test('forwarding entries send a VXLAN’s frames to peers', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const a = world.namespace('a');
  const b = world.namespace('b');
  world.join(a, ['192.0.2.1/24'], b, ['192.0.2.2/24']);
  a.rt.addLink({ type: 'vxlan', name: 'vx', vxlan: { id: 1, port: 4789, local: at('192.0.2.1'), learning: false } });
  const link = a.index('vx');
  const peer = Mac.parse('02:00:00:00:00:02');
  const everyone = Mac.parse('00:00:00:00:00:00');
  a.rt.addFdb({ link, mac: peer, destination: at('192.0.2.2') });
  assert.throws(() => a.rt.addFdb({ link, mac: peer, destination: at('192.0.2.2') }), isExists);
  a.rt.replaceFdb({ link, mac: peer, destination: at('192.0.2.3') });
  for (const destination of ['192.0.2.2', '192.0.2.3'].map(at)) a.rt.appendFdb({ link, mac: everyone, destination });
  interface BridgeFdb {
    mac: string;
    dst: string;
  }
  const expected = ['00:00:00:00:00:00 192.0.2.2', '00:00:00:00:00:00 192.0.2.3', '02:00:00:00:00:02 192.0.2.3'];
  const judged = bridge<BridgeFdb>(a.path, 'fdb', 'show', 'dev', 'vx');
  assert.deepEqual(judged.map(({ mac: m, dst }) => `${m} ${dst}`).sort(), expected);
  const ours = a.rt.fdb(link);
  assert.deepEqual(ours.map((entry) => `${entry.mac} ${entry.destination}`).sort(), expected);
  for (const entry of [...ours, ...ours]) a.rt.deleteFdb(entry);
  assert.deepEqual(a.rt.fdb(link), []);
});

test('rules of policy routing', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const { rt, path } = world.namespace('a');
  rt.addRule({ family: 'ipv4', priority: 100, from: Prefix.parse('10.0.0.0/8'), mark: 0x40, markMask: 0xff, table: 1000 });
  rt.addRule({
    family: 'ipv6',
    priority: 101,
    to: Prefix.parse('fd00::/8'),
    inputLink: 'lo',
    not: true,
    table: 254,
    suppressPrefixLength: 0,
  });
  const judged = `${run(path, 'ip', 'rule', 'show', 'priority', '100')}${run(path, 'ip', '-6', 'rule', 'show', 'priority', '101')}`;
  assert.match(judged, /100:\s+from 10\.0\.0\.0\/8 fwmark 0x40\/0xff lookup 1000 proto 112/);
  assert.match(judged, /101:\s+not from all to fd00::\/8 iif lo lookup main suppress_prefixlength 0 proto 112/);
  const ours = rt.rules().filter(({ protocol }) => protocol === 112);
  assert.deepEqual(
    ours.map(({ family, priority, from, to, mark, markMask, not, table, inputLink, suppressPrefixLength }) => [
      family,
      priority,
      from?.toString(),
      to?.toString(),
      mark,
      markMask,
      not,
      table,
      inputLink,
      suppressPrefixLength,
    ]),
    [
      ['ipv4', 100, '10.0.0.0/8', undefined, 0x40, 0xff, undefined, 1000, undefined, undefined],
      ['ipv6', 101, undefined, 'fd00::/8', undefined, undefined, true, 254, 'lo', 0],
    ],
  );
  for (const rule of [...ours, ...ours]) rt.deleteRule(rule);
  assert.deepEqual(
    rt.rules().filter(({ protocol }) => protocol === 112),
    [],
  );
});

test('a batch reports each failure by its place and does the rest', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const { rt } = world.namespace('a');
  const good = { link: 1, address: at('10.0.0.1'), prefixLength: 32 };
  const build = (b: Parameters<Parameters<typeof rt.batch>[0]>[0]): void => {
    b.addAddress({ ...good, link: 4711 })
      .addAddress(good)
      .addRoute({ destination: Prefix.parse('10.1.0.0/16'), gateway: at('10.7.7.7') });
    b.deleteRoute({ destination: Prefix.parse('10.2.0.0/16') });
  };
  assert.throws(
    () => rt.batch(build),
    (error) =>
      error instanceof BatchError &&
      [...error.errors.keys()].join() === '0,2' &&
      error.errors.get(0)?.errno === 'ENODEV' &&
      error.errors.get(2)?.extack === 'Nexthop has invalid gateway',
  );
  assert.ok(rt.addresses({ link: 1 }).some(({ address }) => address.equals(good.address)));
  assert.deepEqual([...rt.tryBatch(build).keys()], [0, 1, 2]);
});

test('thousands of changes and long dumps work in one go', needsRoot, () => {
  using world = new TestWorld('rtnetlink');
  const { rt } = world.namespace('a');
  const routes = Array.from({ length: 5000 }, (_, i) => ({
    destination: Prefix.host(at('10.0.0.0').offset(i)),
    type: 'blackhole' as const,
  }));
  rt.batch((b) => {
    for (const route of routes) b.addRoute(route);
  });
  assert.equal(rt.routes({ protocol: 112 }).length, 5000);
  // Every one fails now: no error may be lost, however many there are.
  assert.equal(
    rt.tryBatch((b) => {
      for (const route of routes) b.addRoute(route);
    }).size,
    5000,
  );
  rt.batch((b) => {
    for (const route of routes) b.deleteRoute(route);
  });
  assert.deepEqual(rt.routes({ protocol: 112 }), []);
});

test('the lists of this machine’s own namespace can be read', needsRoot, () => {
  using rt = RtNetlink.open();
  assert.ok(rt.links().some(({ name, index }) => name === 'lo' && index === 1));
  for (const list of [rt.addresses(), rt.routes(), rt.neighbours(), rt.proxies(), rt.fdb(), rt.rules()])
    assert.ok(Array.isArray(list));
});
