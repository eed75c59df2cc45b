import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { Conntrack, type ConntrackEntry } from './conntrack.ts';
import { NewConnections } from './new-connections.ts';

const insert = (path: string, protocol: string, ...more: string[]): string =>
  run(path, 'conntrack', '-I', '-p', protocol, '-t', '600', ...more);

function fill(world: TestWorld) {
  const { path, ns } = world.namespace('a');
  const ports = ['--sport', '4000', '--dport', '53'];
  insert(path, 'udp', '-s', '10.0.0.1', '-d', '10.96.0.10', ...ports, '--dst-nat', '10.244.0.5', '--mark', '7');
  insert(path, 'udp', '-s', '10.0.0.2', '-d', '10.96.0.10', ...ports);
  insert(path, 'udp', '-s', 'fd00::1', '-d', 'fd00:10::a', ...ports);
  insert(path, 'tcp', '-s', '10.0.0.1', '-d', '10.96.0.1', '--sport', '4000', '--dport', '443', '--state', 'ESTABLISHED');
  const icmp = ['--icmp-type', '8', '--icmp-code', '0', '--icmp-id', '1234'];
  insert(path, 'icmp', '-s', '10.0.0.1', '-d', '10.0.0.2', ...icmp);
  return { path, table: Conntrack.open(ns) };
}

const print = ({ original, reply }: ConntrackEntry): string => {
  const side = (t: typeof original) =>
    `${t.source}:${t.sourcePort ?? t.icmp?.id}>${t.destination}:${t.destinationPort ?? t.icmp?.type}`;
  return `${original.protocol} ${side(original)} ${side(reply)}`;
};

test('connections of both families are listed as conntrack made them, and filtered', needsRoot, () => {
  using world = new TestWorld('conntrack');
  const filled = fill(world);
  using table = filled.table;
  assert.deepEqual(table.list().map(print).sort(), [
    'icmp 10.0.0.1:1234>10.0.0.2:8 10.0.0.2:1234>10.0.0.1:0',
    'tcp 10.0.0.1:4000>10.96.0.1:443 10.96.0.1:443>10.0.0.1:4000',
    'udp 10.0.0.1:4000>10.96.0.10:53 10.244.0.5:53>10.0.0.1:4000',
    'udp 10.0.0.2:4000>10.96.0.10:53 10.96.0.10:53>10.0.0.2:4000',
    'udp fd00::1:4000>fd00:10::a:53 fd00:10::a:53>fd00::1:4000',
  ]);
  const vip = IpAddr.parse('10.96.0.10');
  assert.equal(table.list({ family: 'ipv6' }).length, 1);
  assert.equal(table.list({ protocol: 'udp', originalDestination: vip, originalDestinationPort: 53 }).length, 2);
  assert.equal(table.list({ protocol: 'udp', originalDestinationPort: 53 }).length, 3, 'of both families');
  assert.equal(table.list({ protocol: 'tcp', originalDestinationPort: 53 }).length, 0);
  assert.equal(table.list({ protocol: 'tcp', originalDestinationPort: 443 }).length, 1);
  assert.equal(table.list({ protocol: 'udp', originalDestinationPorts: new Set([53, 443]) }).length, 3);
  assert.equal(table.list({ originalDestinationPorts: new Set([443]) }).length, table.list().filter(({ original }) => original.destinationPort === 443).length);
  const [one] = table.list({ replySource: IpAddr.parse('10.244.0.5') });
  assert.deepEqual([one?.mark, one?.zone, one?.status.includes('dnat')], [7, 0, true]);
  assert.ok(one!.timeoutS > 500 && one!.timeoutS <= 600);
  assert.equal(table.list({ protocol: 'tcp' })[0]?.tcpState, 'established');
  assert.deepEqual([...table.marks()].sort(), [0, 7]);
});

test('bits of marks are cleared in connections whose mark is meant, and all else of them stays', needsRoot, () => {
  using world = new TestWorld('conntrack');
  const { table, path } = fill(world);
  using _ = table;
  run(path, 'conntrack', '-U', '-f', 'ipv4', '--mark', '0x1207');
  run(path, 'conntrack', '-U', '-f', 'ipv6', '--mark', '0x1307');
  const before = table.list();
  const [four, six] = (['ipv4', 'ipv6'] as const).map((family) => table.list({ family }).length);
  assert.ok(four! > 0 && six! > 0);
  assert.equal(table.clearMarks(0xff00, (mark) => (mark & 0xff00) === 0x1400), 0);
  assert.equal(table.clearMarks(0xff00, (mark) => (mark & 0xff00) === 0x1200), four);
  assert.deepEqual([...table.marks()].sort(), [0x1307, 0x7].sort());
  assert.equal(table.clearMarks(0xff00, () => true), four! + six!);
  assert.deepEqual([...table.marks()], [7]);
  const plain = (all: typeof before): unknown => all.map(({ mark: _mark, timeoutS: _timeout, ...rest }) => rest).sort((a, b) => a.id - b.id);
  assert.deepEqual(plain(table.list()), plain(before));
});

test('a connection is deleted alone, a second time is no error, and a new one with the same tuple is left', needsRoot, () => {
  using world = new TestWorld('conntrack');
  const filled = fill(world);
  using table = filled.table;
  const count = (): number => run(filled.path, 'conntrack', '-L', '-f', 'ipv4', '-p', 'udp').split('\n').filter(Boolean).length;
  assert.equal(count(), 2);
  const [entry] = table.list({ originalSource: IpAddr.parse('10.0.0.2'), protocol: 'udp' });
  assert.equal(table.delete(entry!), true);
  assert.equal(count(), 1);
  assert.equal(table.delete(entry!), false);
  insert(filled.path, 'udp', '-s', '10.0.0.2', '-d', '10.96.0.10', '--sport', '4000', '--dport', '53');
  assert.equal(table.delete({ ...entry!, id: (entry!.id ^ 1) >>> 0 }), false);
  assert.equal(count(), 2);
  assert.equal(table.deleteAll([...table.list(), entry!]), 5);
  assert.deepEqual(table.list(), []);
});

for (const { family, client, vip, pods } of [
  { family: 'ipv4', client: '10.0.0.1', vip: '10.96.0.10', pods: ['10.244.0.5', '10.244.1.6'] },
  { family: 'ipv6', client: 'fd00::1', vip: 'fd00:10::a', pods: ['fd01::5', 'fd01::6'] },
])
  test(
    `T19, F54 (${family}): a connection that has the tuple and the id of one listed before, but leads to another endpoint, is left`,
    needsRoot,
    () => {
      using world = new TestWorld('conntrack');
      const { path, ns } = world.namespace('a');
      using table = Conntrack.open(ns);
      const connect = (pod: string, state: string): ConntrackEntry => {
        insert(path, 'tcp', '--state', state, '-s', client, '-d', vip, '--sport', '4000', '--dport', '80', '--dst-nat', pod);
        return table.list()[0]!;
      };
      const old = connect(pods[0]!, 'TIME_WAIT');
      // The client's port is used again: the kernel drops the old entry by itself.
      run(path, 'conntrack', '-D', '-f', family, '-p', 'tcp');
      const fresh = connect(pods[1]!, 'ESTABLISHED');
      assert.notEqual(print(fresh), print(old));
      // Most often the kernel gives the id again of itself; here always.
      assert.equal(table.deleteAll([old, { ...old, id: fresh.id }]), 0);
      assert.deepEqual(table.list().map(print), [print(fresh)]);
      assert.equal(table.delete({ ...fresh, id: (fresh.id ^ 1) >>> 0 }), false);
      assert.equal(table.delete(fresh), true);
    },
  );

for (const by of ['a filter of the kernel', 'reading the table'])
  test(`T19, F54: the connections of an address go, at whichever end it stands, and no others (by ${by})`, needsRoot, () => {
    using world = new TestWorld('conntrack');
    const { path, ns } = world.namespace('a');
    using table = Conntrack.open(ns);
    const ports = ['--sport', '4000', '--dport', '53'];
    const established = ['--state', 'ESTABLISHED', '--sport', '5000', '--dport', '80'];
    insert(path, 'udp', '-s', '10.1.0.2', '-d', '192.0.2.9', ...ports); // from it
    insert(path, 'udp', '-s', '192.0.2.9', '-d', '10.1.0.2', ...ports); // to it
    insert(path, 'tcp', '-s', '10.1.0.3', '-d', '10.96.0.1', ...established, '--dst-nat', '10.1.0.2'); // by a Service
    insert(path, 'tcp', '-s', '10.1.0.2', '-d', '192.0.2.8', ...established, '--src-nat', '192.0.2.1'); // masqueraded
    insert(path, 'tcp', '-s', 'fd01::3', '-d', 'fd01::2', ...established);
    insert(path, 'icmp', '-s', '10.1.0.2', '-d', '10.1.0.3', '--icmp-type', '8', '--icmp-code', '0', '--icmp-id', '7');
    const echo = ['--icmpv6-type', '128', '--icmpv6-code', '0', '--icmpv6-id', '7'];
    insert(path, 'icmpv6', '-s', 'fd01::3', '-d', 'fd01::2', ...echo);
    insert(path, 'sctp', '-s', 'fd01::2', '-d', 'fd01::3', ...established, '--orig-vtag', '1', '--reply-vtag', '2');
    insert(path, 'udp', '-s', '10.1.0.3', '-d', '192.0.2.9', ...ports);
    insert(path, 'udp', '-s', '10.1.0.20', '-d', '10.1.0.22', ...ports);
    insert(path, 'tcp', '-s', 'fd01::3', '-d', 'fd01::22', ...established);
    assert.equal(table.list().length, 11);
    const more = by === 'reading the table' ? Array.from({ length: 20 }, (_, i) => IpAddr.parse(`203.0.113.${i}`)) : [];
    table.deleteOf([...['10.1.0.2', 'fd01::2'].map(IpAddr.parse), ...more]);
    assert.deepEqual(table.list().map(print).sort(), [
      'tcp fd01::3:5000>fd01::22:80 fd01::22:80>fd01::3:5000',
      'udp 10.1.0.20:4000>10.1.0.22:53 10.1.0.22:53>10.1.0.20:4000',
      'udp 10.1.0.3:4000>192.0.2.9:53 192.0.2.9:53>10.1.0.3:4000',
    ]);
    table.deleteOf([]);
    assert.equal(table.list().length, 3);
  });

test(
  'T19, F54: of thousands of connections of both families exactly those of the address go, TCP and UDP, opened by it or to it',
  needsRoot,
  () => {
    using world = new TestWorld('conntrack');
    const { path, ns } = world.namespace('a');
    using table = Conntrack.open(ns);
    const own = ['10.1.0.50', 'fd01::32'];
    const lines: string[] = [];
    for (let i = 0; i < 6000; i++) {
      const six = i % 2;
      // Beside the one, also addresses that begin or end alike.
      const pod = six ? `fd01:${i % 3}::${(16 + (i % 97)).toString(16)}` : `10.1.${i % 3}.${10 + (i % 97)}`;
      const other = six ? `2001:db8::${i.toString(16)}` : `192.0.${i >> 8}.${i & 255}`;
      const [from, to] = i % 5 ? [pod, other] : [other, pod];
      const protocol = i % 7 ? '-p tcp --state ESTABLISHED' : '-p udp';
      lines.push(`-I ${protocol} -t 900 -s ${from} -d ${to} --sport ${1024 + i} --dport 80`);
    }
    const file = `${world.directory}/connections`;
    writeFileSync(file, lines.join('\n'));
    run(path, 'conntrack', '-R', file);
    const isOwn = (text: string, address: string): boolean => text.includes(`>${address}:`) || text.includes(` ${address}:`);
    for (const address of own) {
      const before = table.list().map(print);
      const mine = before.filter((text) => isOwn(text, IpAddr.parse(address).toString()));
      assert.ok(mine.length > 5, `${mine.length} of ${address}`);
      table.deleteOf([IpAddr.parse(address)]);
      assert.deepEqual(table.list().map(print).sort(), before.filter((text) => !mine.includes(text)).sort());
    }
    assert.ok(table.list({ family: 'ipv6' }).length > 2900);
  },
);

test('new connections are told from the opening on, each once, also those that are gone already', needsRoot, () => {
  using world = new TestWorld('conntrack');
  const { path, ns } = world.namespace('a');
  using fresh = NewConnections.open(ns);
  assert.deepEqual(fresh.take(), []);
  const ports = ['--sport', '4000', '--dport', '53'];
  insert(path, 'udp', '-s', '10.0.0.1', '-d', '10.96.0.10', ...ports, '--dst-nat', '10.244.0.5');
  insert(path, 'udp', '-s', 'fd00::1', '-d', 'fd00:10::a', ...ports);
  run(path, 'conntrack', '-F');
  assert.deepEqual(fresh.take().map(print), [
    'udp 10.0.0.1:4000>10.96.0.10:53 10.244.0.5:53>10.0.0.1:4000',
    'udp fd00::1:4000>fd00:10::a:53 fd00:10::a:53>fd00::1:4000',
  ]);
  assert.deepEqual(fresh.take(), []);
});
