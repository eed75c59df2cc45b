import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketSocket } from '../kernel/packets.ts';
import { type Family, families, IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { ip, nft, run } from '../testing/judge.ts';
import type { TestNs } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { frame, icmp, type Packet, syn, udp } from './testkit/frames.ts';
import { eventually, TestNode } from './testkit/node.ts';

const at = IpAddr.parse;
const number = { ipv4: 0, ipv6: 1 } as const;

/** A pod with a hand on its wire. */
class Wire implements Disposable {
  readonly mac: Mac;
  readonly socket: PacketSocket;
  readonly addresses: readonly IpAddr[];

  constructor(ns: TestNs, addresses: readonly string[]) {
    const [eth0] = ip<{ address: string; ifindex: number }>(ns.path, 'link', 'show', 'eth0');
    this.mac = Mac.parse(eth0!.address);
    this.socket = new PacketSocket(ns.ns, eth0!.ifindex);
    this.addresses = addresses.map(at);
  }

  /** The source address of each packet that was received since the last call. */
  sources(): string[] {
    return this.socket.receive().flatMap(({ data, outgoing }) => {
      const type = data.readUInt16BE(12);
      if (outgoing) return [];
      if (type === 0x0800) return [`${IpAddr.fromBytes(data.subarray(26, 30))}`];
      return type === 0x86dd ? [`${IpAddr.fromBytes(data.subarray(22, 38))}`] : [];
    });
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }
}

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
      const [one, two] = [await node.addPod('one'), await node.addPod('two')];
      using a = new Wire(one.ns, one.addresses);
      using b = new Wire(two.ns, two.addresses);
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
    assert.deepEqual([elements('ipv4').length, elements('ipv6').length], [1, 2]);
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
