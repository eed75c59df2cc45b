import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProbeSocket } from '../../kernel/probes.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import { type Family, families, IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { ip, nft, run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { sendFromTheStart } from '../testkit/first-packets.ts';
import { advertisement, arp, discovery, frame, icmp, type Packet, syn, udp } from '../testkit/frames.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { Wire, WiredPods } from '../testkit/wire.ts';

const at = IpAddr.parse;
const number = { ipv4: 0, ipv6: 1 } as const;

const dropped = (node: TestNode): Record<string, number> => node.status().door;

/** What a pod could send from one address: to another pod, the node, a Service, the neighbour node. */
function packetsFrom(source: IpAddr, destinations: readonly IpAddr[]): Packet[] {
  const echo =
    source.family === 'ipv4'
      ? ({ protocol: 'icmp', body: icmp(8, 0) } as const)
      : ({ protocol: 'icmpv6', body: icmp(128, 0) } as const);
  return destinations
    .filter(({ family }) => family === source.family)
    .flatMap((destination): Packet[] => [
      { source, destination, protocol: 'tcp', body: syn(80) },
      { source, destination, protocol: 'udp', body: udp(1234, 80) },
      { source, destination, ...echo },
      { source, destination, protocol: 'udp', body: udp(1234, 80), fragment: { offset: 0, more: true } },
      { source, destination, protocol: 'udp', body: Buffer.alloc(64), fragment: { offset: 1024, more: false } },
    ]);
}

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T1, T2, T42: a packet with a source that is not the pod's comes nowhere, before and after a restart; its own do (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      using pods = await WiredPods.on(node);
      const { one, two, a, b } = pods;
      using peer = new Wire(node.peer, []);
      const destinations = [
        ...two.addresses,
        '192.0.2.1',
        '2001:db8::1',
        '10.96.0.80',
        'fd96::80',
        '192.0.2.2',
        '2001:db8::2',
      ].map(at);
      const nodes = ['192.0.2.1', '2001:db8::1', '192.0.2.2', '2001:db8::2'];
      const nobodys = ['10.96.0.80', 'fd96::80', '10.1.0.99', 'fd01::99', '198.51.100.7', '2001:db8:7::7', 'fe80::99', '0.0.0.0'];
      const forged = new Set([...two.addresses, ...nodes, ...nobodys]);

      const attack = async (): Promise<void> => {
        const before = dropped(node).source!;
        b.sources();
        peer.sources();
        const packets = [...forged].flatMap((source) => packetsFrom(at(source), destinations));
        for (const packet of packets) a.socket.send(frame(a.mac, packet));
        await eventually(() => assert.equal(dropped(node).source, before + packets.length));
        const seen = new Set([...b.sources(), ...peer.sources()]);
        // The nodes themselves ask for each other's MAC meanwhile.
        assert.deepEqual(
          [...two.addresses, ...nobodys].filter((source) => seen.has(source)),
          [],
        );
        const lines = run(node.ns.path, 'conntrack', '-L').split('\n');
        const entries = lines.filter((line) => line.includes('dport=80 ') && forged.has(/ src=(\S+)/.exec(line)?.[1] ?? ''));
        assert.deepEqual(entries, [], 'nothing of it is known to conntrack');
      };
      await attack();

      // With another MAC even the right address is of no use.
      const other = Mac.parse('0a:58:de:ad:be:ef');
      b.sources();
      for (const family of families)
        for (const mac of [other, b.mac])
          for (const source of [a.addresses[number[family]]!, b.addresses[number[family]]!])
            for (const packet of packetsFrom(source, destinations.slice(0, 2))) a.socket.send(frame(mac, packet));
      // In the same order as those before them.
      const whole = families.flatMap((family) => packetsFrom(a.addresses[number[family]]!, destinations.slice(0, 2)).slice(0, 3));
      for (const packet of whole) a.socket.send(frame(a.mac, packet));
      const seen: string[] = [];
      await eventually(() => {
        seen.push(...b.sources());
        assert.ok(seen.length >= whole.length);
      });
      assert.deepEqual(seen, [...Array(3).fill(one.addresses[0]), ...Array(3).fill(one.addresses[1])]);

      await node.settled();
      await node.stop();
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0);
      await attack();
      for (const to of [...two.addresses, '192.0.2.2', '2001:db8::2']) run(one.ns.path, 'ping', '-c1', '-W5', '-s', '4000', to);
    },
  );

test(
  'T1: the elements are there before ADD answers and gone before the address is free; nft reads what it lists',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const elements = (family: Family): string[] =>
      node.ruleset().filter((line) => line.startsWith(`element of door-guests${family === 'ipv4' ? 4 : 6} `));
    await node.addPod('one');
    assert.deepEqual([elements('ipv4').length, elements('ipv6').length], [2, 2], 'IPv4 for ARP too');
    const text = run(node.ns.path, 'nft', 'list', 'table', 'inet', 'podnet');
    const fresh = node.world.namespace('fresh');
    run(fresh.path, 'sh', '-c', `nft -f - <<'E'\n${text.replace(/flags owner.*$/m, '')}\nE`);
    assert.match(
      run(fresh.path, 'nft', 'list', 'chain', 'inet', 'podnet', 'door-pod'),
      /iifname \. ether saddr \. ip saddr @door-guests4/,
    );
    assert.ok(nft(fresh.path, 'list', 'ruleset').length > 0);
    await node.cni({ command: 'DEL', containerId: 'one' });
    assert.deepEqual([elements('ipv4').length, elements('ipv6').length], [0, 0]);
  },
);

/** Everything that the node holds about who is where by the pods' links, and what each pod holds. */
const neighbours = (...all: readonly { path: string }[]): string[] =>
  all.flatMap(({ path }) =>
    ip<{ dst: string; dev: string; lladdr?: string }>(path, 'neigh', 'show', 'nud', 'all')
      .filter(({ dev }) => /^(pod[0-9a-f]{8}|cbr0|eth0)$/.test(dev))
      .map(({ dst, dev, lladdr }) => `${dst} ${dev} ${lladdr ?? ''}`)
      // Multicast has its MAC by a rule.
      .filter((line) => !/^(ff|22[4-9]|23)/.test(line))
      .sort(),
  );

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T3, T4: what a pod says about neighbours changes nobody's mind; its own questions are answered (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      using pods = await WiredPods.on(node);
      const { one, two, a, b } = pods;
      // The kernel answers for the gateway of `routed` when it knows a way to it.
      run(node.ns.path, 'ip', 'route', 'add', 'default', 'via', '192.0.2.2');
      const [b4, b6] = b.addresses as [IpAddr, IpAddr];
      const gateways = (attach === 'routed' ? ['169.254.1.1', 'fe80::1'] : ['10.1.0.1', 'fd01::1']).map(at) as [IpAddr, IpAddr];
      const host = { mac: Mac.parse('ee:ee:ee:ee:ee:ee'), address: gateways[0] };
      const all = Mac.parse('ff:ff:ff:ff:ff:ff');
      for (const to of [...two.addresses, ...(attach === 'bridge' ? gateways : [])])
        run(one.ns.path, 'ping', '-c1', '-W5', `${to}`);
      const right = neighbours(node.ns, one.ns, two.ns);
      b.socket.receive();

      for (const address of [b4, gateways[0], at('192.0.2.2'), at('10.1.0.99')])
        for (const to of [a.mac, host.mac, all]) {
          const sender = { mac: a.mac, address };
          a.socket.send(frame(a.mac, arp(2, sender, host), to));
          a.socket.send(frame(a.mac, arp(1, sender, host), to));
          a.socket.send(frame(a.mac, arp(1, sender, { mac: all, address }), to));
        }
      for (const target of [b6, gateways[1], at('2001:db8::2'), at('fd01::99')]) {
        const advert = {
          source: a.addresses[1]!,
          protocol: 'icmpv6',
          body: discovery(136, target, a.mac),
          hopLimit: 255,
        } as const;
        for (const destination of [gateways[1], b6, at('ff02::1'), at('2001:db8::1')]) {
          a.socket.send(frame(a.mac, { ...advert, destination }));
          a.socket.send(frame(a.mac, { ...advert, destination, source: target }));
        }
        const question = { protocol: 'icmpv6', body: discovery(135, gateways[1], a.mac), hopLimit: 255 } as const;
        a.socket.send(frame(a.mac, { ...question, source: target, destination: gateways[1] }));
        // Duplicate address detection of another's address.
        const probe = discovery(135, target, a.mac).subarray(0, 24);
        a.socket.send(frame(a.mac, { ...question, body: probe, source: at('::'), destination: at('ff02::1:ff00:3') }));
      }
      await eventually(() => assert.ok(dropped(node).neighbour! >= 4));
      run(one.ns.path, 'ping', '-c1', '-W5', two.addresses[0]!);
      assert.deepEqual(neighbours(node.ns, one.ns, two.ns), right);
      const seen = b.socket.receive().filter(({ data, outgoing }) => !outgoing && data.readUInt16BE(12) === 0x0806);
      assert.deepEqual(seen, [], "no pod hears another's ARP");
      for (const to of two.addresses) run(node.ns.path, 'ping', '-c1', '-W5', to);

      // A pod that forgot its gateway finds it, and one that asks whether its own address is taken keeps it.
      for (const [i, gateway] of gateways.entries()) {
        run(one.ns.path, 'ip', 'neigh', 'del', `${gateway}`, 'dev', 'eth0');
        run(one.ns.path, 'ping', '-c1', '-W5', two.addresses[i]!);
      }
      run(one.ns.path, 'ip', 'addr', 'del', `${one.addresses[1]}/${attach === 'routed' ? 128 : 64}`, 'dev', 'eth0');
      run(one.ns.path, 'ip', 'addr', 'add', `${one.addresses[1]}/128`, 'dev', 'eth0');
      await eventually(() => {
        const [{ addr_info = [] } = {}] = ip<{ addr_info: { local: string; tentative?: true; dadfailed?: true }[] }>(
          one.ns.path,
          'addr',
          'show',
          'eth0',
        );
        const own = addr_info.find(({ local }) => local === one.addresses[1])!;
        assert.deepEqual([own.tentative, own.dadfailed], [undefined, undefined]);
      });
    },
  );

for (const attach of ['routed', 'bridge'] as const)
  test(`T5, T6: no pod is a router, a DHCP server or a broadcaster (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach });
    await node.startReady();
    using pods = await WiredPods.on(node);
    const { one, two, a, b } = pods;
    const [a4, a6] = a.addresses as [IpAddr, IpAddr];
    const [b4, b6] = b.addresses as [IpAddr, IpAddr];
    const linkLocal = at('fe80::858:aff:fe01:2');
    const right = node.kernel();
    const before = dropped(node);
    b.socket.receive();
    const send = (packet: Packet): void => a.socket.send(frame(a.mac, packet));

    for (const source of [linkLocal, a6])
      for (const destination of ['ff02::1', 'fe80::1', `${b6}`])
        send({ source, destination: at(destination), protocol: 'icmpv6', body: advertisement(a.mac), hopLimit: 255 });
    const redirected = Buffer.concat([at('192.0.2.2').bytes, Buffer.alloc(28)]);
    send({ source: a4, destination: at('192.0.2.1'), protocol: 'icmp', body: icmp(5, 1, redirected) });
    send({
      source: linkLocal,
      destination: at('fe80::1'),
      protocol: 'icmpv6',
      body: icmp(137, 0, Buffer.alloc(36)),
      hopLimit: 255,
    });
    send({ source: a4, destination: b4, protocol: 'udp', body: udp(67, 68) });
    send({ source: a6, destination: b6, protocol: 'udp', body: udp(547, 546) });
    send({ source: a4, destination: at('255.255.255.255'), protocol: 'udp', body: udp(67, 68) });
    send({ source: a4, destination: at('224.0.0.251'), protocol: 'udp', body: udp(5353, 5353) });
    send({ source: a6, destination: at('ff02::fb'), protocol: 'udp', body: udp(5353, 5353) });
    // A link-local address is for neighbour discovery only.
    send({ source: linkLocal, destination: at('fe80::1'), protocol: 'tcp', body: syn(10250) });

    const expected = { router: 6, redirect: 2, dhcp: 2, multicast: 3, source: 1 };
    await eventually(() => {
      const now = dropped(node);
      const more = Object.fromEntries(Object.keys(expected).map((name) => [name, now[name]! - before[name]!]));
      assert.deepEqual(more, expected);
    });
    assert.deepEqual(b.sources(), []);
    assert.deepEqual(node.kernel(), right);
    assert.deepEqual(run(two.ns.path, 'ip', '-6', 'route').includes('2001:db8:bad'), false);
    for (const link of attach === 'routed'
      ? ip<{ ifname: string }>(node.ns.path, 'link')
          .map(({ ifname }) => ifname)
          .filter((name) => /^pod[0-9a-f]{8}$/.test(name))
      : ['cbr0'])
      for (const setting of ['ipv6/accept_ra', 'ipv6/accept_redirects', 'ipv4/accept_redirects'])
        assert.equal(
          run(node.ns.path, 'cat', `/proc/sys/net/${setting.replace('/', `/conf/${link}/`)}`).trim(),
          '0',
          `${link} ${setting}`,
        );
    for (const setting of ['ipv6/conf/eth0/accept_ra', 'ipv6/conf/eth0/accept_redirects', 'ipv4/conf/eth0/accept_redirects'])
      assert.equal(run(one.ns.path, 'cat', `/proc/sys/net/${setting}`).trim(), '0', setting);
  });

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T6: a redirect of a neighbour of the node does not reach a pod; one for the node itself does (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const one = await node.addPod('one');
      using a = new Wire(one.ns, one.addresses);
      using peer = new Wire(node.peer);
      const uplink = Mac.parse(ip<{ address: string }>(node.ns.path, 'link', 'show', 'eth0')[0]!.address);
      const redirected = Buffer.concat([at('192.0.2.2').bytes, Buffer.alloc(28)]);
      const before = dropped(node).redirect!;
      a.socket.receive();
      for (const destination of [a.addresses[0]!, at('192.0.2.1')])
        for (const body of [icmp(5, 1, redirected), icmp(8, 0, Buffer.alloc(8))])
          peer.socket.send(frame(peer.mac, { source: at('192.0.2.2'), destination, protocol: 'icmp', body }, uplink));
      await eventually(() => assert.equal(dropped(node).redirect, before + 1));
      // The echo that was sent after it is there.
      const types: number[] = [];
      await eventually(() => {
        for (const { data, outgoing } of a.socket.receive())
          if (!outgoing && data.readUInt16BE(12) === 0x0800 && data[23] === 1) types.push(data[34]!);
        assert.deepEqual(types, [8]);
      });
    },
  );

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T7: nothing from outside of lo reaches 127.0.0.0/8 or ::1, whatever route_localnet says (CVE-2020-8558) (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      for (const link of ['all', 'default', 'eth0']) writeSysctl(node.ns.ns, `net/ipv4/conf/${link}/route_localnet`, '1');
      using local = ProbeSocket.udp(node.ns.ns, 'ipv4', { source: at('127.0.0.1'), port: 10250 });
      using local6 = ProbeSocket.udp(node.ns.ns, 'ipv6', { source: at('::1'), port: 10250 });
      const uplink = ip<{ address: string }>(node.ns.path, 'link', 'show', 'eth0')[0]!.address;
      using peer = new Wire(node.peer);
      const knock = (from: Wire, source: IpAddr, to: Mac): void => {
        const body = udp(1234, 10250);
        from.socket.send(frame(from.mac, { source, destination: at('127.0.0.1'), protocol: 'udp', body }, to));
        from.socket.send(frame(from.mac, { source: at('127.0.0.1'), destination: at('127.0.0.1'), protocol: 'udp', body }, to));
        from.socket.send(frame(from.mac, { source: at('fd01::2'), destination: at('::1'), protocol: 'udp', body }, to));
      };
      knock(peer, at('192.0.2.2'), Mac.parse(uplink));
      await eventually(() => assert.ok(local.receive(), 'without the agent it comes through'));
      while (local.receive());

      await node.startReady();
      const one = await node.addPod('one');
      using a = new Wire(one.ns, one.addresses);
      knock(peer, at('192.0.2.2'), Mac.parse(uplink));
      knock(a, a.addresses[0]!, Mac.parse('ee:ee:ee:ee:ee:ee'));
      await eventually(() => assert.equal(dropped(node).loopback, 3));
      assert.equal(local.receive() ?? local6.receive(), undefined);
      using own = ProbeSocket.udp(node.ns.ns, 'ipv4', { source: at('127.0.0.1') });
      own.send(Buffer.from('own'), at('127.0.0.1'), 10250);
      await eventually(() => assert.equal(`${local.receive()?.data}`, 'own'));
    },
  );

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T1, T22: no forged packet comes through that a pod sends from the moment that it has a link (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const target = await node.addPod('target');
      using b = new Wire(target.ns, target.addresses);
      for (let i = 0; i < 8; i++) {
        const { path } = node.world.namespace(`p${i}`);
        const mac = Mac.parse(`0a:58:0a:01:00:${(i + 3).toString(16).padStart(2, '0')}`);
        const forged = { source: at('198.51.100.7'), destination: b.addresses[0]!, protocol: 'udp', body: udp(1, 2) } as const;
        const sender = await sendFromTheStart(path, frame(mac, forged));
        const { code } = await node.cni({ command: 'ADD', containerId: `p${i}`, netns: path });
        assert.equal(code, 0);
        // On a busy machine its turn comes later.
        await eventually(() => assert.ok(sender.sent() > 0)).finally(() => sender.stop());
        await node.cni({ command: 'DEL', containerId: `p${i}` });
      }
      assert.deepEqual(
        b.sources().filter((source) => source === '198.51.100.7'),
        [],
      );
    },
  );

/** Entries in the neighbour tables of a namespace, of whatever link, that were not written there for good. */
const learned = ({ path }: { path: string }): string[] =>
  ip<{ dst: string; dev: string; state: string[] }>(path, 'neigh', 'show', 'nud', 'all')
    .filter(({ state }) => !state.includes('PERMANENT') && !state.includes('NOARP'))
    .map(({ dst, dev }) => `${dst} ${dev}`);

for (const attach of ['routed', 'bridge'] as const)
  test(
    `T3, T4: 10,000 questions and answers of a pod in other senders' names leave no trace in the node's neighbour table, whatever rp_filter says (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      // As systemd and others set it: what has any way back comes in.
      for (const name of ['all', 'default']) writeSysctl(node.ns.ns, `net/ipv4/conf/${name}/rp_filter`, '2');
      for (const name of ['all', 'default']) writeSysctl(node.ns.ns, `net/ipv4/conf/${name}/arp_accept`, '1');
      writeSysctl(node.ns.ns, 'net/ipv6/conf/default/accept_untracked_na', '1');
      run(node.ns.path, 'ip', 'route', 'add', 'default', 'via', '192.0.2.2');
      await node.startReady();
      const [one, two] = [await node.addPod('one'), await node.addPod('two')];
      for (const to of two.addresses) run(one.ns.path, 'ping', '-c1', '-W5', to);
      using a = new Wire(one.ns, one.addresses);
      const [a4, a6] = a.addresses as [IpAddr, IpAddr];
      const gateways = (attach === 'routed' ? ['169.254.1.1', 'fe80::1'] : ['10.1.0.1', 'fd01::1']).map(at) as [IpAddr, IpAddr];
      const host = Mac.parse('ee:ee:ee:ee:ee:ee');
      const before = dropped(node);
      const forged = 2500;
      for (let i = 0; i < forged; i++) {
        const sender = { mac: a.mac, address: IpAddr.fromBigInt('ipv4', at('10.200.0.0').toBigInt() + BigInt(i)) };
        const target = at(`fd01:9::${i.toString(16)}`);
        a.socket.send(frame(a.mac, arp(1, sender, { mac: host, address: gateways[0] })));
        a.socket.send(frame(a.mac, arp(2, sender, { mac: host, address: gateways[0] })));
        const icmpv6 = { protocol: 'icmpv6', hopLimit: 255, destination: gateways[1] } as const;
        a.socket.send(frame(a.mac, { ...icmpv6, source: target, body: discovery(135, gateways[1], a.mac) }));
        a.socket.send(frame(a.mac, { ...icmpv6, source: a6, body: discovery(136, target, a.mac) }));
        // What a socket's buffer does not hold is lost on the way.
        if (i % 100 === 99) await eventually(() => assert.equal(dropped(node).arp! - before.arp!, (i + 1) * 2));
      }
      await eventually(() => {
        const { arp: asked, source, neighbour } = dropped(node);
        assert.deepEqual(
          [asked! - before.arp!, source! - before.source!, neighbour! - before.neighbour!],
          [forged * 2, forged, forged],
        );
      });
      assert.deepEqual(
        learned(node.ns).filter((line) => /^(10\.200|fd01:9:)| (pod|cbr0)/.test(line)),
        [],
      );

      // T1 with rp_filter 2: what the door does not let in comes nowhere.
      using b = new Wire(two.ns, two.addresses);
      b.sources();
      const sources = dropped(node).source!;
      const packets = ['192.0.2.2', '10.1.0.99', '198.51.100.7'].flatMap((source) => packetsFrom(at(source), b.addresses));
      for (const packet of packets) a.socket.send(frame(a.mac, packet));
      await eventually(() => assert.equal(dropped(node).source, sources + packets.length));
      assert.deepEqual(b.sources(), []);

      // Who is honest is answered, and others are reached.
      for (const [i, gateway] of gateways.entries()) {
        run(one.ns.path, 'ip', 'neigh', 'del', `${gateway}`, 'dev', 'eth0');
        run(one.ns.path, 'ping', '-c1', '-W5', two.addresses[i]!);
      }
      for (const to of [`${a4}`, `${a6}`]) run(two.ns.path, 'ping', '-c1', '-W5', to);
      run(node.ns.path, 'ping', '-c1', '-W5', '192.0.2.2');
    },
  );

test(
  'T2: frames that a locked port drops are counted: with another MAC, or to another pod past the node; those that come through are not',
  needsRoot,
  async () => {
    await using node = await TestNode.make({ attach: 'bridge' });
    await node.startReady();
    using pods = await WiredPods.on(node);
    const { one, two, a, b } = pods;
    for (const to of [...two.addresses, '192.0.2.2', '2001:db8::2']) run(one.ns.path, 'ping', '-c3', '-i0.01', '-W5', to);
    assert.equal(dropped(node).frame, 0);
    b.sources();
    const [source, destination] = [a.addresses[0]!, b.addresses[0]!];
    const packet = { source, destination, protocol: 'udp', body: udp(1, 2) } as const;
    for (let i = 0; i < 100; i++) a.socket.send(frame(Mac.fromBytes(Uint8Array.from([2, 0, 0, 0, 1, i])), packet));
    await eventually(() => assert.equal(dropped(node).frame, 100));
    for (let i = 0; i < 50; i++) a.socket.send(frame(a.mac, packet, b.mac));
    // What a bridge keeps for itself is no way to hide others: LLDP passes it without ever being before it.
    for (let i = 0; i < 30; i++) a.socket.send(frame(a.mac, packet, Mac.parse('01:80:c2:00:00:0e')));
    await eventually(() => assert.equal(dropped(node).frame, 150));
    for (const to of two.addresses) run(one.ns.path, 'ping', '-c1', '-W5', to);
    assert.equal(dropped(node).frame, 150);
    assert.deepEqual(
      [...new Set(b.sources())].filter((address) => !one.addresses.includes(address) && !address.startsWith('fe80')),
      [],
    );
  },
);
