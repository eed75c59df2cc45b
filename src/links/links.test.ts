import assert from 'node:assert/strict';
import test from 'node:test';
import { Nft } from '../kernel/nftables/nft.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { NftWriter, Reconciler, RtWriter, SysctlWriter } from '../reconcile/index.ts';
import { ip, run } from '../testing/judge.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import {
  Attacher,
  attachModes,
  deletionGroup,
  hostLinkName,
  InterfaceExistsError,
  type LinkNode,
  NamespaceError,
  type PodLink,
  podOf,
} from './index.ts';

const at = IpAddr.parse;
const node: LinkNode = {
  families: ['ipv4', 'ipv6'],
  addresses: ['172.30.0.11', 'fd30::11'].map(at),
  podCidrs: ['10.244.1.0/24', 'fd00:10:244:1::/64'].map(Prefix.parse),
  podMtu: 1450,
};
const pod = (n: number, families: LinkNode['families'] = node.families): PodLink => ({
  hostLink: hostLinkName(`test/c${n}/eth0`),
  ifname: 'eth0',
  addresses: node.podCidrs.filter(({ family }) => families.includes(family)).map((cidr) => cidr.at(n)),
  mtu: 1450,
});

/** A node with its own addresses and what the mode wants of it. */
class Node implements Disposable {
  readonly world = new TestWorld('links');
  readonly home: TestNs;
  readonly attacher: Attacher;
  readonly reconciler: Reconciler;
  readonly #nft: Nft;

  constructor(mode: keyof typeof attachModes) {
    this.home = this.world.namespace('node');
    const addresses = node.addresses.map((address) => `${address}/${address.family === 'ipv4' ? 24 : 64}`);
    this.world.join(this.home, addresses, this.world.namespace('wire'), [], ['eth0', 'eth0']);
    this.#nft = Nft.open(this.home.ns);
    const writers = [new RtWriter(this.home.rt), new SysctlWriter(this.home.ns), new NftWriter(this.#nft)];
    this.reconciler = new Reconciler(writers);
    this.reconciler.contribute('mode', [
      { kind: 'nft-table', name: 'podnet' },
      ...attachModes[mode].planNode(node),
      { kind: 'sysctl', name: 'net/ipv4/ip_forward', value: '1' },
      { kind: 'sysctl', name: 'net/ipv6/conf/all/forwarding', value: '1' },
    ]);
    assert.deepEqual(this.reconciler.sync().failures, []);
    this.attacher = new Attacher(this.home.ns, attachModes[mode]);
  }

  container(name: string): TestNs {
    const made = this.world.namespace(name);
    made.rt.setLink(1, { up: false }); // a runtime hands it over with lo down
    return made;
  }

  attach(link: PodLink, into: TestNs): void {
    this.reconciler.contribute(`pod ${link.hostLink}`, this.attacher.attach(link, into.ns, node), { applied: true });
    for (
      const end = performance.now() + 20_000;
      !(this.attacher.isLive(link.hostLink) && this.attacher.hasAddresses(link, into.ns));
    )
      assert.ok(performance.now() < end, `${link.hostLink} is not in service after 20 s`);
  }

  [Symbol.dispose](): void {
    this.attacher[Symbol.dispose]();
    this.#nft[Symbol.dispose]();
    this.world[Symbol.dispose]();
  }
}

const pings = (from: TestNs, to: IpAddr, ...options: string[]): string =>
  run(from.path, 'ping', '-n', '-c1', '-W5', ...options, `${to}`);

for (const mode of ['routed', 'bridge'] as const) {
  test(
    `${mode}: pods reach each other, their node and back in both families, and the kernel holds just what is planned`,
    needsRoot,
    async () => {
      using home = new Node(mode);
      const [a, b] = [home.container('a'), home.container('b')];
      home.attach(pod(5), a);
      home.attach(pod(6), b);
      for (const i of [0, 1]) {
        pings(a, pod(6).addresses[i]!);
        pings(a, node.addresses[i]!);
        // NM4, CRI8: from the node, with the node's own address
        pings(home.home, pod(5).addresses[i]!);
        const [route] = ip<{ prefsrc: string }>(home.home.path, ...(i ? ['-6'] : []), 'route', 'show', `${pod(5).addresses[i]}`);
        assert.equal(route!.prefsrc, `${node.addresses[i]}`);
      }
      const [eth0] = ip<{
        ifindex: number;
        mtu: number;
        address: string;
        num_tx_queues: number;
        addr_info: object[];
      }>(a.path, '-d', 'addr', 'show', 'eth0');
      assert.deepEqual(
        [eth0!.ifindex, eth0!.mtu, eth0!.address, eth0!.num_tx_queues, eth0!.addr_info.length],
        [2, 1450, '0a:58:0a:f4:01:05', 1, 2],
      );
      const [hostEnd] = ip<{ address: string; num_tx_queues: number }>(home.home.path, '-d', 'link', 'show', pod(5).hostLink);
      assert.deepEqual([hostEnd!.address, hostEnd!.num_tx_queues], ['ee:ee:ee:ee:ee:ee', 1]);
      // what was written at ADD is what the reconciler wants: a full check finds nothing to do
      home.reconciler.markAll();
      assert.deepEqual(home.reconciler.sync().operations, []);
      assert.deepEqual(home.attacher.check(pod(5), a.path, node), []);

      for (const link of [pod(5), pod(6)]) {
        home.reconciler.withdraw(`pod ${link.hostLink}`, { applied: true });
        assert.equal(home.attacher.detach(link.hostLink, attachModes[mode].planPod(link, node)), true);
        assert.throws(() => run(home.home.path, 'ping', '-n', '-c1', '-W1', `${link.addresses[0]}`), 'gone at once');
      }
      await home.attacher.drain();
      assert.equal(home.attacher.detach(pod(5).hostLink), false, 'a second time is success');
      assert.deepEqual(ip(a.path, 'link', 'show').length, 1, 'only lo is left in the container');
      assert.doesNotMatch(run(home.home.path, 'ip', '-o', 'link'), /pod[0-9a-f]{8}/);
      home.reconciler.markAll();
      assert.deepEqual(home.reconciler.sync().operations, []);
    },
  );

  test(
    `${mode}: CNI8: what is broken inside the container or on the node is found, and repaired where that can be`,
    needsRoot,
    () => {
      using home = new Node(mode);
      const a = home.container('a');
      home.attach(pod(5), a);
      const wrong = (): string => home.attacher.check(pod(5), a.path, node).join('; ');
      for (const [command, found] of [
        ['ip link set eth0 down', /eth0 is down.*default route via \S+ is gone.*neighbour entry/],
        ['ip addr del 10.244.1.5/32 dev eth0', /lost its address 10\.244\.1\.5/],
        ['ip -6 route del default', /default route via (fe80::1|fd00:10:244:1::1) is gone/],
        ['ip neigh flush dev eth0 nud permanent', /neighbour entry of the gateway/],
      ] as const) {
        const command_ = mode === 'bridge' ? command.replace('.5/32', '.5/24') : command;
        run(a.path, ...command_.split(' '));
        assert.match(wrong(), found, command);
        home.attacher.repair(pod(5), a.path, node);
        assert.equal(wrong(), '', `after the repair of: ${command}`);
      }
      run(a.path, 'ip', 'link', 'set', 'eth0', 'mtu', '1500');
      assert.match(wrong(), /MTU 1500, more than the 1450/);
      run(a.path, 'ip', 'link', 'set', 'eth0', 'mtu', '1400');
      assert.equal(wrong(), '', 'a smaller one is the business of whoever set it');
      run(home.home.path, 'ip', 'route', 'del', '10.244.1.5');
      assert.match(wrong(), /no route to 10\.244\.1\.5\/32/);
      home.reconciler.markAll();
      home.reconciler.sync();
      assert.equal(wrong(), '', "the reconciler brings the node's part back");
      run(a.path, 'ip', 'link', 'del', 'eth0');
      assert.match(wrong(), /no link pod[0-9a-f]{8}; the container has no interface eth0/);
      assert.throws(() => home.attacher.repair(pod(5), a.path, node), /delete the pod/);
    },
  );
}

test('CNI5: an interface of the name in the container is an error, and nothing is left or harmed', needsRoot, () => {
  using home = new Node('routed');
  const a = home.container('a');
  a.rt.addLink({ type: 'bridge', name: 'eth0' });
  assert.throws(() => home.attach(pod(5), a), InterfaceExistsError);
  assert.doesNotMatch(run(home.home.path, 'ip', '-o', 'link'), /pod[0-9a-f]{8}/);
  assert.match(run(a.path, 'ip', '-d', 'link', 'show', 'eth0'), /bridge/);
});

test('a container that has other links already, and a link of a former attachment, are no obstacle', needsRoot, () => {
  using home = new Node('routed');
  const a = home.container('a');
  a.rt.addLink({ type: 'bridge', name: 'tunl0' }); // takes ifindex 2, as fallback tunnels do
  run(home.home.path, 'ip', 'link', 'add', pod(5).hostLink, 'type', 'bridge');
  home.attach(pod(5), a);
  pings(home.home, pod(5).addresses[0]!);
  assert.deepEqual(home.attacher.check(pod(5), a.path, node), []);
});

test("a path that is no network namespace, or the node's own, is refused before anything is made", needsRoot, () => {
  using home = new Node('routed');
  for (const [path, why] of [
    [home.home.path, /node's own network namespace/],
    ['/run/netns/there-is-none', /ENOENT/],
    ['/etc/hostname', /not a network namespace/],
    ['/proc/self/ns/uts', /not a network namespace/],
  ] as const) {
    assert.throws(
      () => home.attacher.open(path),
      (error: Error) => error instanceof NamespaceError && why.test(error.message),
      path,
    );
  }
  assert.doesNotMatch(run(home.home.path, 'ip', '-o', 'link'), /pod[0-9a-f]{8}/);
});

test('an attachment that fails inside the container leaves nothing on the node', needsRoot, async () => {
  using home = new Node('routed');
  const a = home.container('a');
  // No address of IPv4 has such a prefix.
  using attacher = new Attacher(home.home.ns, { ...attachModes.routed, prefixLength: () => 33 });
  assert.throws(() => attacher.attach(pod(5), a.ns, node), /replace address/);
  await attacher.drain();
  assert.doesNotMatch(run(home.home.path, 'ip', '-o', 'link'), /pod[0-9a-f]{8}/);
});

for (const mode of ['routed', 'bridge'] as const)
  test(`${mode}: F45: a node and containers that switch IPv6 off for new links, or for all, get links with IPv6 all the same`, needsRoot, () => {
    using home = new Node(mode);
    run(home.home.path, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    for (const [n, which] of [
      [5, 'default'],
      [6, 'all'],
    ] as const) {
      const container = home.container(which);
      run(container.path, 'sysctl', '-qw', `net.ipv6.conf.${which}.disable_ipv6=1`);
      const link: PodLink = n === 6 ? { ...pod(n), bandwidth: { egress: { rate: 1e9 }, ingress: { rate: 1e9 } } } : pod(n);
      home.attach(link, container);
      for (const address of link.addresses) pings(home.home, address);
      assert.deepEqual(home.attacher.check(link, container.path, node), []);
    }
  });

test('single-stack pods get one family alone', needsRoot, () => {
  using home = new Node('routed');
  for (const [n, family] of [
    [5, 'ipv4'],
    [6, 'ipv6'],
  ] as const) {
    const container = home.container(family);
    home.attach(pod(n, [family]), container);
    pings(home.home, pod(n, [family]).addresses[0]!);
    const [eth0] = ip<{ addr_info: { family: string }[] }>(container.path, 'addr', 'show', 'eth0');
    assert.deepEqual(
      eth0!.addr_info.map((info) => info.family),
      [family === 'ipv4' ? 'inet' : 'inet6'],
    );
  }
});

test('the host answers ARP and ND for the gateway, and no packet with a foreign source comes in', needsRoot, () => {
  using home = new Node('routed');
  const a = home.container('a');
  home.attach(pod(5), a);
  home.home.rt.addRoute({ destination: Prefix.parse('0.0.0.0/0'), link: home.home.index('eth0') });
  run(a.path, 'ip', 'neigh', 'del', '169.254.1.1', 'dev', 'eth0');
  run(a.path, 'ip', '-6', 'neigh', 'del', 'fe80::1', 'dev', 'eth0');
  for (const address of node.addresses) pings(a, address);
  const known = run(a.path, 'ip', 'neigh');
  for (const gateway of ['169.254.1.1', 'fe80::1'])
    assert.match(known, new RegExp(`${gateway} dev eth0 lladdr ee:ee:ee:ee:ee:ee`));
  run(a.path, 'ip', 'addr', 'add', '10.244.1.77/32', 'dev', 'eth0');
  assert.throws(() => pings(a, node.addresses[0]!, '-I', '10.244.1.77', '-W1'));
});

test('links that a killed agent had marked for deletion are deleted by the next', needsRoot, async () => {
  using home = new Node('routed');
  run(home.home.path, 'ip', 'link', 'add', 'pod01234567', 'type', 'bridge');
  run(home.home.path, 'ip', 'link', 'set', 'pod01234567', 'group', `${deletionGroup}`);
  using next = new Attacher(home.home.ns, attachModes.routed);
  await next.drain();
  assert.doesNotMatch(run(home.home.path, 'ip', '-o', 'link'), /pod01234567/);
});

test("T4, T5: a pod believes no redirect and no router's advertisement, and its node's end none of the pod's", needsRoot, () => {
  using home = new Node('routed');
  const inside = home.container('a');
  home.attach(pod(5), inside);
  home.attacher.settle(pod(5), inside.ns);
  const value = (where: TestNs, name: string): string => run(where.path, 'cat', `/proc/sys/net/${name}`).trim();
  for (const name of ['ipv4/conf/eth0', 'ipv6/conf/eth0']) assert.equal(value(inside, `${name}/accept_redirects`), '0', name);
  assert.equal(value(inside, 'ipv6/conf/eth0/accept_ra'), '0');
  const host = pod(5).hostLink;
  for (const [name, wanted] of Object.entries({ proxy_arp: '1', accept_redirects: '0', send_redirects: '0', rp_filter: '1' }))
    assert.equal(value(home.home, `ipv4/conf/${host}/${name}`), wanted, name);
});

test("the alias of the node's end is the pod's name, once: a name that the kernel has no room for is left out", needsRoot, () => {
  using home = new Node('routed');
  const inside = home.container('a');
  home.attach(pod(5), inside);
  const aliasOf = (): unknown => ip(home.home.path, 'link', 'show', 'dev', pod(5).hostLink)[0]?.ifalias;
  const longest = `${'n'.repeat(63)}/${'p'.repeat(190)}`;
  for (const name of ['default/web-1', longest]) {
    home.attacher.settle({ ...pod(5), pod: name }, inside.ns);
    assert.equal(aliasOf(), name);
    assert.equal(podOf(name), name);
  }
  home.attacher.settle({ ...pod(5), pod: `${longest}q` }, inside.ns);
  assert.equal(aliasOf(), undefined);
  for (const other of ['uplink of rack 3', 'a/b/c', '/b', 'a/', 'A/b', undefined]) assert.equal(podOf(other), '');
});
