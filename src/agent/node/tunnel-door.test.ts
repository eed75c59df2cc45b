import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PacketSocket } from '../../kernel/packets.ts';
import { EndpointSlices, Nodes, Services } from '../../kube/resources.ts';
import { type Family, IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { ip, nft, run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { arp, frame } from '../testkit/frames.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { envelope, inner, Mailbox, Sender, tagged } from '../testkit/vxlan.ts';
import { vxlanMac } from '../../routes/plan.ts';

/** Of the agents' configuration here (testkit/config.ts). */
const [vni, port] = [7, 4789];
const inbox = 7070;

/** Outer addresses: of the node, of its peer, of a third node, and of nobody, which are all behind the node's eth0. */
const underlays = {
  ipv4: { me: '192.0.2.1', peer: '192.0.2.2', third: '192.0.2.3', stranger: '192.0.2.77', length: 24 },
  ipv6: { me: '2001:db8::1', peer: '2001:db8::2', third: '2001:db8::3', stranger: '2001:db8::77', length: 64 },
} as const;

/** Inner addresses of each family. */
const inside = {
  ipv4: { own: '10.1.0.9', peer: '10.1.1.9', third: '10.1.2.9', nodes: ['192.0.2.2', '10.1.1.0'], outside: '203.0.113.9' },
  ipv6: { own: 'fd01::9', peer: 'fd01:0:0:1::9', third: 'fd01:0:0:2::9', nodes: ['2001:db8::2'], outside: '2001:db8:7::9' },
} as const;

/** A node whose tunnel has ends of this family, with a third node in the API, and all senders behind its eth0. */
async function tunnelled(underlay: Family): Promise<TestNode> {
  const node = await TestNode.make({ backend: 'vxlan', families: underlay === 'ipv4' ? ['ipv4', 'ipv6'] : ['ipv6', 'ipv4'] });
  const ends = underlays[underlay];
  for (const address of [ends.third, ends.stranger])
    run(node.peer.path, 'ip', 'address', 'add', `${address}/${ends.length}`, 'dev', 'eth0', ...(underlay === 'ipv6' ? ['nodad'] : []));
  await node.setNode('third', [underlays.ipv4.third, underlays.ipv6.third], ['10.1.2.0/24', 'fd01:0:0:2::/64']);
  return node;
}

/** Sends until it arrives: what else was sent before it has arrived as well, or never will. */
async function lastly(box: Mailbox, send: (text: string) => Promise<void>, text = 'last'): Promise<string[]> {
  const came: string[] = [];
  await eventually(async () => {
    await send(text);
    await sleep(20);
    came.push(...box.take());
    assert.ok(came.includes(text));
  });
  return [...new Set(came)].filter((one) => one !== text).sort();
}

const dropped = (node: TestNode): Record<string, number> =>
  Object.fromEntries(Object.entries(node.status().door).filter(([name]) => name.startsWith('tunnel-')));

for (const underlay of ['ipv4', 'ipv6'] as const)
  test(
    `T15: VXLAN comes in from nodes only, and from each of them nothing in the name of another's pods, before and after a restart (${underlay} between nodes)`,
    needsRoot,
    async () => {
      await using node = await tunnelled(underlay);
      const ends = underlays[underlay];
      await node.startReady();
      const pod = await node.addPod('a');
      using box = await Mailbox.at(pod.ns, pod.addresses, inbox);
      using peer = await Sender.from(node.peer, ends.peer);
      using third = await Sender.from(node.peer, ends.third);
      using stranger = await Sender.from(node.peer, ends.stranger);
      const to = (family: Family): string => pod.addresses.find((address) => address.includes(':') === (family === 'ipv6'))!;
      const look = async (): Promise<void> => {
        const before = dropped(node);
        let strangers = 0;
        let forged = 0;
        const expected: string[] = [];
        for (const family of ['ipv4', 'ipv6'] as const) {
          const of = inside[family];
          const send = (from: Sender, source: string, text: string, wrap = inner): Promise<void> =>
            from.send(envelope(vni, wrap(ends.me, source, to(family), inbox, text)), ends.me, port);
          for (const source of [of.peer, of.third, ...of.nodes, of.outside]) {
            await send(stranger, source, `${family} stranger as ${source}`);
            // Whose it would be is seen first where there are pods.
            if (source === of.peer || source === of.third || source === '10.1.1.0') forged++;
            else strangers++;
          }
          await send(peer, of.third, `${family} peer as third`);
          await send(third, of.peer, `${family} third as peer`);
          await send(peer, of.own, `${family} peer as the own node's pod`);
          forged += 3;
          await send(peer, of.peer, `${family} with a tag`, tagged);
          strangers++;
          for (const source of [of.peer, ...of.nodes, of.outside]) {
            await send(peer, source, `${family} peer as ${source}`);
            expected.push(`${family} peer as ${source}`);
          }
          await send(third, of.third, `${family} third as ${of.third}`);
          expected.push(`${family} third as ${of.third}`);
          assert.deepEqual(
            await lastly(box, (text) => send(peer, of.peer, text)),
            expected.splice(0).sort(),
          );
        }
        const question = arp(1, { mac: Mac.parse('02:00:00:00:00:07'), address: IpAddr.parse('10.1.1.9') }, { mac: Mac.parse('00:00:00:00:00:00'), address: IpAddr.parse('10.1.0.1') });
        await peer.send(envelope(vni, frame(Mac.parse('02:00:00:00:00:07'), question)), ends.me, port);
        strangers++;
        await eventually(() => {
          const after = dropped(node);
          assert.deepEqual(
            [after['tunnel-stranger']! - before['tunnel-stranger']!, after['tunnel-source']! - before['tunnel-source']!, after['tunnel-link']],
            [strangers, forged, 0],
          );
        });
      };
      await look();
      const fresh = node.world.namespace('fresh');
      const text = run(node.ns.path, 'nft', 'list', 'table', 'inet', 'podnet').replace(/flags owner.*$/m, '');
      run(fresh.path, 'sh', '-c', `nft -f - <<'E'\n${text}\nE`);
      const ruleset = node.ruleset();
      await node.stop();
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0, 'P2: what is right is not written again');
      assert.deepEqual(node.ruleset(), ruleset);
      await look();
    },
  );

test('T15: VXLAN in fragments is looked at as a whole', needsRoot, async () => {
  for (const underlay of ['ipv4', 'ipv6'] as const) {
    await using node = await tunnelled(underlay);
    const ends = underlays[underlay];
    run(node.peer.path, 'ip', 'link', 'set', 'eth0', 'mtu', '1280');
    await node.startReady();
    const pod = await node.addPod('a');
    using box = await Mailbox.at(pod.ns, pod.addresses, inbox);
    using peer = await Sender.from(node.peer, ends.peer);
    using stranger = await Sender.from(node.peer, ends.stranger);
    const to = pod.addresses.find((address) => !address.includes(':'))!;
    const long = (from: Sender, source: string, text: string): Promise<void> =>
      from.send(envelope(vni, inner(ends.me, source, to, inbox, text.padEnd(1300, '.'))), ends.me, port);
    await long(stranger, inside.ipv4.outside, 'stranger');
    await long(peer, inside.ipv4.third, 'forged');
    await long(peer, inside.ipv4.peer, 'peer');
    const came = await lastly(box, (text) => peer.send(envelope(vni, inner(ends.me, inside.ipv4.peer, to, inbox, text)), ends.me, port));
    assert.deepEqual(came, ['peer'.padEnd(1300, '.')]);
    assert.deepEqual([dropped(node)['tunnel-stranger'], dropped(node)['tunnel-source']], [1, 1]);
  }
});

test("T15: a pod reaches no node's VXLAN port: not its own node's, not another's, and not by a Service that leads there, with an address kept or translated", needsRoot, async () => {
  await using node = await tunnelled('ipv4');
  const ends = underlays.ipv4;
  await node.api.create(Services, {
    metadata: { name: 'trap', namespace: 'default' },
    spec: { type: 'NodePort', clusterIP: '10.96.0.66', clusterIPs: ['10.96.0.66'], ports: [{ protocol: 'UDP', port, nodePort: 30_089 }, { name: 'x', protocol: 'UDP', port: 7, nodePort: 30_007, targetPort: inbox }] },
  });
  await node.api.create(EndpointSlices, {
    metadata: { name: 'trap-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'trap' } },
    addressType: 'IPv4',
    ports: [{ protocol: 'UDP', port }, { name: 'x', protocol: 'UDP', port: inbox }],
    endpoints: [{ addresses: [ends.peer], conditions: { ready: true, serving: true } }],
  });
  await node.startReady();
  const [a, b] = [await node.addPod('a'), await node.addPod('b')];
  using here = await Mailbox.at(b.ns, b.addresses, inbox);
  using there = await Mailbox.at(node.peer, [ends.peer], port);
  using other = await Mailbox.at(node.peer, [ends.peer], inbox);
  using sender = await Sender.from(a.ns, a.addresses[0]!);
  using stranger = await Sender.from(node.peer, ends.stranger);
  const forged = (text: string): Buffer => envelope(vni, inner(ends.me, inside.ipv4.peer, b.addresses[0]!, inbox, text));
  await sender.send(forged('own node'), ends.me, port);
  await sender.send(forged('peer'), ends.peer, port);
  await sender.send(forged('Service'), '10.96.0.66', port);
  await sender.send(forged('node port'), ends.me, 30_089);
  // Translated to this node's address on its way, if it went on.
  await stranger.send(forged('stranger by node port'), ends.me, 30_089);
  assert.deepEqual(await lastly(here, (text) => sender.send(Buffer.from(text), b.addresses[0]!, inbox)), []);
  assert.deepEqual(await lastly(other, (text) => sender.send(Buffer.from(text), '10.96.0.66', 7)), [], 'the Service leads there');
  assert.deepEqual(await lastly(other, (text) => stranger.send(Buffer.from(text), ends.me, 30_007)), [], 'and so does its node port');
  assert.deepEqual(there.take(), []);
  const { 'tunnel-link': onWay, 'tunnel-relay': relayed } = dropped(node);
  assert.deepEqual([onWay, relayed], [1, 4]);
  // The node itself goes on sending to its peer's port, where it sends what goes into the tunnel.
  run(node.ns.path, 'sh', '-c', `ping -c1 -W1 10.1.1.9 || true`);
  await eventually(() => assert.ok(there.take().length > 0));
});

test("T15: a flow that a pod began before there was a node at its end does not go on with the own node's address, and none that another node masqueraded is led to a third", needsRoot, async () => {
  await using node = await tunnelled('ipv4');
  const ends = underlays.ipv4;
  const elsewhere = '192.0.2.100';
  run(node.ns.path, 'ip', 'address', 'add', `${elsewhere}/24`, 'dev', 'eth0');
  run(node.ns.path, 'nft', `add table inet others; add chain inet others pre { type nat hook prerouting priority -100; }; add rule inet others pre ip daddr ${elsewhere} udp dport 4000 dnat ip to ${ends.third}:${port}`);
  await node.startReady();
  const pod = await node.addPod('a');
  using there = await Mailbox.at(node.peer, [ends.stranger, ends.third], port);
  using sender = await Sender.from(pod.ns, pod.addresses[0]!);
  using peer = await Sender.from(node.peer, ends.peer);
  await eventually(async () => {
    await sender.send(Buffer.from('before'), ends.stranger, port);
    await sleep(20);
    assert.ok(there.take().includes('before'), 'nobody is there yet');
  });
  await node.setNode('fresh', [ends.stranger], ['10.1.3.0/24']);
  await eventually(() => assert.equal(ip(node.ns.path, 'route', 'show', '10.1.3.0/24').length, 1));
  await sleep(50);
  there.take();
  await sender.send(Buffer.from('pod'), ends.stranger, port);
  await peer.send(Buffer.from('masqueraded'), elsewhere, 4000);
  await eventually(() => assert.equal(dropped(node)['tunnel-relay'], 2));
  assert.deepEqual(there.take(), []);
});

for (const underlay of ['ipv4', 'ipv6'] as const)
  test(`T15: what comes with a node's address to another address of this node than its end of the tunnel may be a pod's, masqueraded, and does not come in (${underlay} between nodes)`, needsRoot, async () => {
    await using node = await tunnelled(underlay);
    const ends = underlays[underlay];
    // Of a load balancer, for instance: other nodes know of no node there, and masquerade what their pods send to it.
    const more = underlay === 'ipv4' ? '192.0.2.100' : '2001:db8::100';
    run(node.ns.path, 'ip', 'address', 'add', `${more}/${ends.length}`, 'dev', 'eth0', ...(underlay === 'ipv6' ? ['nodad'] : []));
    // And a port that somebody leads to the tunnel's.
    const [family, target] = underlay === 'ipv4' ? ['ip', ends.me] : ['ip6', `[${ends.me}]`];
    run(node.ns.path, 'nft', `add table inet others; add chain inet others pre { type nat hook prerouting priority -100; }; add rule inet others pre ${family} daddr ${more} udp dport 4000 dnat ${family} to ${target}:${port}`);
    await node.startReady();
    const pod = await node.addPod('a');
    using box = await Mailbox.at(pod.ns, pod.addresses, inbox);
    using peer = await Sender.from(node.peer, ends.peer);
    const to = pod.addresses.find((address) => !address.includes(':'))!;
    const packetOf = (text: string): Buffer => envelope(vni, inner(ends.me, inside.ipv4.peer, to, inbox, text));
    await peer.send(packetOf('further address'), more, port);
    await peer.send(packetOf('translated'), more, 4000);
    assert.deepEqual(await lastly(box, (text) => peer.send(packetOf(text), ends.me, port)), []);
    assert.equal(dropped(node)['tunnel-address'], 2);
  });

test("T15: VXLAN of others on this node is left alone, with another port and with another identifier on the same", needsRoot, async () => {
  await using node = await tunnelled('ipv4');
  const ends = underlays.ipv4;
  await node.startReady();
  run(node.ns.path, 'ip', 'link', 'add', 'others', 'type', 'vxlan', 'id', '42', 'dstport', `${port}`, 'local', ends.me);
  run(node.ns.path, 'ip', 'link', 'add', 'flannel.1', 'type', 'vxlan', 'id', `${vni}`, 'dstport', '8472', 'local', ends.me);
  using stranger = await Sender.from(node.peer, ends.stranger);
  for (const [link, id, to] of [['others', 42, port], ['flannel.1', vni, 8472]] as const) {
    run(node.ns.path, 'ip', 'link', 'set', link, 'up');
    using wire = new PacketSocket(node.ns.ns, node.ns.index(link));
    await eventually(async () => {
      await stranger.send(envelope(id, inner(ends.me, inside.ipv4.peer, '10.1.0.9', inbox, 'podnet')), ends.me, to);
      await sleep(20);
      assert.ok(wire.receive().some(({ data, outgoing }) => !outgoing && data.includes('podnet')), link);
    });
  }
  assert.deepEqual(dropped(node), { 'tunnel-address': 0, 'tunnel-link': 0, 'tunnel-relay': 0, 'tunnel-source': 0, 'tunnel-stranger': 0 });
});

test('T15: what comes by a link that leads to no node is no VXLAN of a node, whatever address it bears, and neither is what comes out of the tunnel', needsRoot, async () => {
  await using node = await tunnelled('ipv4');
  const ends = underlays.ipv4;
  const guests = node.world.namespace('guests');
  node.world.join(node.ns, ['198.51.100.1/24'], guests, ['198.51.100.2/24'], ['docker0', 'eth0']);
  run(guests.path, 'ip', 'address', 'add', `${ends.peer}/32`, 'dev', 'lo');
  run(guests.path, 'ip', 'route', 'add', ends.me, 'via', '198.51.100.1');
  await node.startReady();
  const pod = await node.addPod('a');
  using box = await Mailbox.at(pod.ns, pod.addresses, inbox);
  using peer = await Sender.from(node.peer, ends.peer);
  using guest = await Sender.from(guests, ends.peer);
  const packetOf = (source: string, text: string): Buffer => envelope(vni, inner(ends.me, source, pod.addresses[0]!, inbox, text));
  await guest.send(packetOf(inside.ipv4.peer, 'guest'), ends.me, port);
  // A node that sends another's envelope inside of its own.
  const nested = frame(Mac.parse('02:00:00:00:00:07'), {
    ...{ source: IpAddr.parse(ends.third), destination: IpAddr.parse(ends.me), protocol: 'udp' },
    body: Buffer.concat([udpHeader(packetOf(inside.ipv4.third, 'nested').length), packetOf(inside.ipv4.third, 'nested')]),
  }, vxlanMac(IpAddr.parse(ends.me)));
  await peer.send(envelope(vni, nested), ends.me, port);
  assert.deepEqual(await lastly(box, (text) => peer.send(packetOf(inside.ipv4.peer, text), ends.me, port)), []);
  assert.deepEqual(dropped(node)['tunnel-link'], 2);
});

/** Of a datagram from and to the port of VXLAN. */
function udpHeader(length: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(port, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(8 + length, 4);
  return header;
}

test('T15, P4: nothing of a known node is lost while an agent takes over from a version without this, starts again, and hears of nodes that come and go', needsRoot, async () => {
  await using node = await tunnelled('ipv4');
  const ends = underlays.ipv4;
  await node.startReady();
  const pod = await node.addPod('a');
  await node.settled();
  await node.stop();
  // As a former version left it.
  const left = nft<Record<string, { name?: string; table?: string }>>(node.ns.path, 'list', 'ruleset').flatMap((item) => Object.entries(item));
  const named = (kind: string): string[] => left.flatMap(([one, { name, table }]) => (one === kind && table === 'podnet' && name?.startsWith('tunnel') ? [name] : []));
  const commands = [
    ...named('chain').map((name) => `flush chain inet podnet ${name}`),
    ...['chain', 'set', 'counter'].flatMap((kind) => named(kind).map((name) => `delete ${kind} inet podnet ${name}`)),
  ];
  assert.ok(commands.length > 8);
  run(node.ns.path, 'nft', commands.join('; '));

  using box = await Mailbox.at(pod.ns, pod.addresses, inbox);
  using peer = await Sender.from(node.peer, ends.peer);
  let sent = 0;
  let isOver = false;
  const flow = (async () => {
    for (; !isOver; await sleep(1))
      for (const [family, to] of [['ipv4', pod.addresses[0]!], ['ipv6', pod.addresses[1]!]] as const)
        await peer.send(envelope(vni, inner(ends.me, inside[family].peer, to, inbox, `${sent++}`)), ends.me, port);
  })();
  try {
    await eventually(() => assert.ok(box.texts.length > 10));
    await node.startReady();
    await eventually(() => assert.ok(named('chain').length > 0));
    await node.stop();
    await node.startReady();
    // Another length of pod CIDRs: other chains and sets, in one transaction.
    await node.setNode('wide', ['192.0.2.4'], ['10.1.64.0/20']);
    await eventually(() => assert.match(run(node.ns.path, 'nft', 'list', 'set', 'inet', 'podnet', 'tunnel4-pods4-20'), /192\.0\.2\.4 \. 0xa014000/));
    await node.api.delete(Nodes, 'wide');
    await eventually(() => assert.ok(!run(node.ns.path, 'nft', 'list', 'ruleset').includes('tunnel4-pods4-20')));
    await sleep(50);
  } finally {
    isOver = true;
    await flow;
  }
  await eventually(() => assert.equal(new Set(box.texts).size, sent));
});

test('T15: a node that is added is let in with its route, one that is deleted no more, and one with another address by that alone', needsRoot, async () => {
  await using node = await tunnelled('ipv4');
  const ends = underlays.ipv4;
  await node.startReady();
  const pod = await node.addPod('a');
  using box = await Mailbox.at(pod.ns, pod.addresses, inbox);
  using peer = await Sender.from(node.peer, ends.peer);
  using fresh = await Sender.from(node.peer, ends.stranger);
  const send = (from: Sender, source: string, text: string): Promise<void> =>
    from.send(envelope(vni, inner(ends.me, source, pod.addresses[0]!, inbox, text)), ends.me, port);
  const heard = (from: Sender, source: string): Promise<string[]> =>
    send(from, source, 'fresh').then(() => lastly(box, (text) => send(peer, inside.ipv4.peer, text)));
  assert.deepEqual(await heard(fresh, '10.1.3.9'), []);
  await node.setNode('fresh', [ends.stranger], ['10.1.3.0/24']);
  await eventually(() => assert.equal(ip(node.ns.path, 'route', 'show', '10.1.3.0/24').length, 1));
  assert.deepEqual(await heard(fresh, '10.1.3.9'), ['fresh'], 'at once');
  await node.api.delete(Nodes, 'fresh');
  await eventually(() => assert.equal(ip(node.ns.path, 'route', 'show', '10.1.3.0/24').length, 0));
  assert.deepEqual(await heard(fresh, '10.1.3.9'), []);
  await node.setNode('fresh', ['192.0.2.99'], ['10.1.3.0/24']);
  await eventually(() => assert.equal(ip(node.ns.path, 'route', 'show', '10.1.3.0/24').length, 1));
  assert.deepEqual(await heard(fresh, '10.1.3.9'), []);
});

test('T15: without tunnels there is no door of the tunnel', needsRoot, async () => {
  await using node = await TestNode.make({ backend: 'direct' });
  await node.startReady();
  assert.ok(!run(node.ns.path, 'nft', 'list', 'ruleset').includes('tunnel'));
  assert.deepEqual(dropped(node), {});
});
