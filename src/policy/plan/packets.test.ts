import assert from 'node:assert/strict';
import { test } from 'node:test';
import { internetChecksum, ProbeSocket } from '../../kernel/probes.ts';
import { type Family, families, IpAddr } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { addressOf, ask, echoes, endOf, heard, PolicyBed, pings, type Row } from './testkit/testbed.ts';

const deaf = (pod: string): Row => ['ingress-default', pod, 'none'];
const mute = (pod: string): Row => ['egress-default', pod, 'none'];
const ip = { ipv4: 'ip', ipv6: 'ip6' } as const;
const icmp = { ipv4: 'icmp', ipv6: 'icmpv6' } as const;

/** Counts what a namespace receives that matches. */
function countIn(bed: PolicyBed, name: string, what: string): () => number {
  const { path } = bed.namespace(name);
  run(path, 'nft', `table inet seen { chain seen { type filter hook prerouting priority -450; ${what} counter; }; }`);
  return () => Number(/packets (\d+)/.exec(run(path, 'nft', 'list', 'table', 'inet', 'seen'))![1]);
}

/** ICMP port unreachable about a UDP datagram, as whoever got it sends it. */
function portUnreachable(
  family: Family,
  from: string,
  to: string,
  ports: readonly [source: number, destination: number],
): Buffer {
  const ends = [IpAddr.parse(from).bytes, IpAddr.parse(to).bytes];
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(ports[0], 0);
  udp.writeUInt16BE(ports[1], 2);
  udp.writeUInt16BE(8, 4);
  const v4 = Buffer.from([0x45, 0, 0, 28, 0, 1, 0, 0, 63, 17, 0, 0]);
  const header =
    family === 'ipv4' ? Buffer.concat([v4, ...ends]) : Buffer.concat([Buffer.from([0x60, 0, 0, 0, 0, 8, 17, 63]), ...ends]);
  if (family === 'ipv4') header.writeUInt16BE(internetChecksum(header), 10);
  const message = Buffer.concat([
    Buffer.from(family === 'ipv4' ? [3, 3, 0, 0, 0, 0, 0, 0] : [1, 4, 0, 0, 0, 0, 0, 0]),
    header,
    udp,
  ]);
  if (family === 'ipv4') message.writeUInt16BE(internetChecksum(message), 2);
  return message;
}

for (const family of families) {
  const of = (name: string): string => addressOf(name, family);

  test(`NP10, NP16 (${family}): an ICMP error goes as the connection goes that it is about`, needsRoot, async () => {
    await using bed = new PolicyBed();
    bed.serveUdp('b', family, 8080);
    const allowed: Row[] = [deaf('b'), ['ingress', '0:1 . b', '0:8'], ['ports', '0:8 . udp . 8080', '0:3'], mute('b')];
    bed.say(family, ...allowed);
    const socket = bed.udp('a', family);
    assert.equal(await ask(socket, of('b'), 8080), 'question');
    using errors = ProbeSocket.icmp(bed.namespace('b').ns, family);
    const complain = (): void =>
      errors.send(portUnreachable(family, of('a'), of('b'), [socket.local.port, 8080]), IpAddr.parse(of('a')));
    const unreachable = family === 'ipv4' ? '3/3' : '1/4';
    complain();
    assert.equal(await heard(socket), unreachable, 'while it is settled');
    bed.say(family, ...allowed);
    complain();
    assert.equal(await heard(socket), unreachable, 'as the first packet of an epoch');
    bed.say(family, deaf('b'));
    complain();
    assert.equal(await heard(socket), 'nothing', 'once it is denied');
  });

  test(`NP16 (${family}): an echo is let in by rules without ports, and by no others`, needsRoot, async () => {
    await using bed = new PolicyBed();
    const told = async (value: string): Promise<boolean> => {
      bed.say(
        family,
        deaf('b'),
        ['ingress', '0:1 . b', value],
        ['ports', '0:8 . tcp . 8080', '0:3'],
        ['ports', '0:a . tcp . 8080', 'none'],
      );
      return pings(bed, 'a', family, 'b');
    };
    assert.deepEqual(
      [await told('0:3'), await told('0:2'), await told('0:a'), await told('0:8'), await told('0:1'), await told('none')],
      [true, true, true, false, false, false],
    );
    assert.equal(await pings(bed, 'node', family, 'b'), true, 'NP12: the node always');
  });

  test(
    `NP7 (${family}): a listed port goes before a range, and a range before all others; each protocol has its own`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      const ports = [8079, 8080, 8081, 8090, 8091];
      for (const port of ports) {
        await bed.serveTcp('b', family, port);
        bed.serveUdp('b', family, port);
      }
      bed.say(
        family,
        ...[deaf('b'), ['ingress', '0:1 . b', '0:c'] as const, ['ports', '0:c . tcp . 8081', 'none'] as const],
        ...[['ranges', '0:c . tcp . 8080-8090', '0:3'] as const, ['ports', '0:c . udp . 8091', '0:3'] as const],
      );
      const tcp: number[] = [];
      const udp: number[] = [];
      for (const port of ports) {
        if (await bed.reaches('a', family, 'b', port)) tcp.push(port);
        if ((await ask(bed.udp('a', family), of('b'), port)) === 'question') udp.push(port);
      }
      assert.deepEqual([tcp, udp], [[8080, 8090], [8091]]);
      bed.say(family, deaf('b'), ['ingress', '0:1 . b', '0:d'], ['ranges', '0:d . tcp . 8080-8090', 'none']);
      assert.equal(await bed.reaches('a', family, 'b', 8085), false);
      assert.equal(await bed.reaches('a', family, 'b', 8091), true);
    },
  );

  test(`NP18 (${family}): fragments go as the datagram goes that they make`, needsRoot, async () => {
    await using bed = new PolicyBed();
    for (const port of [8080, 8081]) bed.serveUdp('b', family, port);
    bed.say(family, deaf('b'), ['ingress', '0:1 . b', '0:8'], ['ports', '0:8 . udp . 8080', '0:3']);
    const seen = countIn(bed, 'b', family === 'ipv4' ? 'ip protocol udp' : 'meta nfproto ipv6 exthdr frag exists');
    const large = async (port: number): Promise<number> => {
      const socket = bed.udp('a', family);
      socket.send(Buffer.alloc(4000), IpAddr.parse(of('b')), port);
      return (await heard(socket)).length;
    };
    assert.equal(await large(8081), 'nothing'.length);
    assert.equal(seen(), 0, 'not one of them passes');
    assert.equal(await large(8080), 4000);
  });

  test(`NP6 (${family}): who has no identity of its own has that of its network, else nobody's`, needsRoot, async () => {
    await using bed = new PolicyBed();
    await bed.serveTcp('b', family, 8080);
    const net = family === 'ipv4' ? '10.1.0.0/16' : 'fd00::/8';
    bed.write(family, [['nets', net, '0:9'], ['ids', 'a', '0:1'], deaf('b'), ['ingress', '0:9 . b', '0:3']]);
    bed.beginEpoch(2);
    assert.equal(await bed.reaches('far', family, 'b', 8080), true, 'of the network');
    assert.equal(await bed.reaches('a', family, 'b', 8080), false, 'with an identity');
    bed.write(family, [deaf('b'), ['ingress', 'none . b', '0:3']]);
    bed.beginEpoch(3);
    assert.equal(await bed.reaches('far', family, 'b', 8080), true, 'nobody special');
  });

  test(
    `ADR 19 (${family}): what conntrack does not know reaches nobody who is isolated, and comes from nobody who is`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      bed.rules(
        `table inet others { chain pre { type filter hook prerouting priority -300; udp dport 9999 notrack; udp sport 9999 notrack; }; }`,
      );
      bed.serveUdp('b', family, 9999);
      const seen = countIn(bed, 'b', `${icmp[family]} type echo-reply`);
      using raw = ProbeSocket.icmp(bed.namespace('a').ns, family);
      const reply = Buffer.from([family === 'ipv4' ? 0 : 129, 0, 0, 0, 0x12, 0x34, 0, 1]);
      if (family === 'ipv4') reply.writeUInt16BE(internetChecksum(reply), 2);
      const invalid = (): void => raw.send(reply, IpAddr.parse(of('b')));
      const socket = bed.udp('a', family);
      const passes = async (): Promise<[string, number]> => {
        const before = seen();
        invalid();
        // What is answered was sent after it.
        const answer = await ask(socket, of('b'), 9999);
        return [answer, seen() - before];
      };
      assert.deepEqual(await passes(), ['question', 1], 'without policies');
      for (const rows of [[deaf('b')], [mute('a')], [['egress-default', 'a', '0:3'] as const]]) {
        bed.say(family, ...rows);
        assert.deepEqual(await passes(), ['nothing', 0], JSON.stringify(rows));
      }
      bed.say(family, deaf('c'));
      assert.deepEqual(await passes(), ['question', 1], 'others are left alone');
      bed.rules('flush table inet others');
    },
  );

  test(
    `bridge mode (${family}): pods that are ports of a bridge are judged as others are, among themselves and with other nodes`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed({ bridge: 'cbr0' });
      for (const name of ['a', 'b', 'far', 'node']) await bed.serveTcp(name, family, 8080);
      const open = async (): Promise<string[]> => {
        const pairs = [
          ['a', 'b'],
          ['c', 'b'],
          ['far', 'b'],
          ['node', 'b'],
          ['a', 'far'],
          ['a', 'node'],
        ] as const;
        const found: string[] = [];
        for (const [from, to] of pairs) if (await bed.reaches(from, family, to, 8080)) found.push(`${from} ${to}`);
        return found;
      };
      assert.equal((await open()).length, 6, 'without policies');
      const held = await bed.connect('c', family, 'b', 8080);
      bed.say(family, deaf('b'), ['ingress', '0:1 . b', '0:3'], mute('a'), ['egress', '0:2 . a', '0:3']);
      assert.deepEqual(await open(), ['a b', 'node b']);
      assert.equal(await endOf(held), 'ECONNRESET');
    },
  );

  test(
    `NP11, CNP9 (${family}): a pod that reaches itself by a Service is asked for itself, not for identities`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      bed.services(family);
      await bed.serveTcp('a', family, 8080);
      bed.say(family, deaf('a'), mute('a'), ['selves', 'a . a', '0:3']);
      assert.equal(await bed.reaches('a', family, 'itself', 80), true);
      assert.equal(await bed.reaches('b', family, 'itself', 80), false);
      bed.say(family, deaf('a'), mute('a'), ['selves', 'a . a', '0:8'], ['ports', '0:8 . tcp . 8081', '0:3']);
      assert.equal(await bed.reaches('a', family, 'itself', 80), false);
    },
  );

  test(`NP17 (${family}): what goes to a Service is judged by where it leads`, needsRoot, async () => {
    await using bed = new PolicyBed();
    bed.services(family);
    await bed.serveTcp('b', family, 8080);
    bed.say(family, mute('a'), ['egress', '0:2 . a', '0:8'], ['ports', '0:8 . tcp . 8080', '0:3']);
    assert.equal(await bed.reaches('a', family, 'service', 80), true);
    bed.say(family, mute('a'), ['egress', '0:2 . a', '0:8'], ['ports', '0:8 . tcp . 80', '0:3']);
    assert.equal(await bed.reaches('a', family, 'service', 80), false);
  });

  test(
    `NP12, CNP12 (${family}): a node reaches its pods always; pods reach it as rules for their node say, and are cut from it`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      for (const name of ['a', 'node']) await bed.serveTcp(name, family, 8080);
      bed.serveUdp('a', family, 8080);
      const served = await bed.serveTcp('node', family, 8081);
      bed.say(family, deaf('a'), mute('a'), ['egress', '0:6 . a', '0:8'], ['ports', '0:8 . tcp . 8081', '0:3']);
      assert.equal(await bed.reaches('node', family, 'a', 8080), true);
      assert.equal(await ask(bed.udp('node', family), of('a'), 8080), 'question');
      assert.equal(await bed.reaches('a', family, 'node', 8080), false);
      for (const first of ['pod', 'node'] as const) {
        bed.say(family, deaf('a'), mute('a'), ['egress', '0:6 . a', '0:8'], ['ports', '0:8 . tcp . 8081', '0:3']);
        const pod = await bed.connect('a', family, 'node', 8081);
        assert.ok(await echoes(pod));
        const ofNode = await bed.connect('node', family, 'a', 8080);
        bed.say(family, deaf('a'), mute('a'));
        const ends = { pod, node: served.at(-1)! };
        assert.equal(await endOf(ends[first]), 'ECONNRESET', `${first} first: our own resets pass our own chains`);
        assert.equal(await endOf(ends[first === 'pod' ? 'node' : 'pod']), 'ECONNRESET', `${first} first, then the other`);
        assert.ok(await echoes(ofNode), 'what the node opened stays open');
      }
    },
  );

  test(`${family}: neighbours are found by pods that may do nothing, and the node finds them`, needsRoot, async () => {
    await using bed = new PolicyBed();
    bed.say(family, deaf('a'), mute('a'));
    const flush = (path: string): unknown => run(path, 'ip', ip[family] === 'ip' ? '-4' : '-6', 'neigh', 'flush', 'all');
    flush(bed.node.path);
    flush(bed.namespace('a').path);
    assert.equal(await pings(bed, 'node', family, 'a'), true);
    bed.say(family);
    flush(bed.node.path);
    flush(bed.namespace('a').path);
    assert.equal(await pings(bed, 'a', family, 'b'), true);
  });

  test(
    `${family}: DNS of the own node by UDP, which conntrack does not see, is judged by its headers; by TCP as a connection`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      bed.node.rt.addAddress({
        link: 1,
        address: IpAddr.parse(of('dns')),
        prefixLength: family === 'ipv4' ? 32 : 128,
        flags: ['nodad'],
      });
      bed.rules(`table inet raw {
      chain pre { type filter hook prerouting priority -300; ${ip[family]} daddr ${of('dns')} udp dport 53 notrack; }
      chain out { type filter hook output priority -300; ${ip[family]} saddr ${of('dns')} udp sport 53 notrack; }
    }`);
      bed.serveUdp('node', family, 53, of('dns'));
      await bed.serveTcp('node', family, 53);
      const socket = bed.udp('a', family);
      const both = async (): Promise<[boolean, boolean]> => [
        (await ask(socket, of('dns'), 53)) === 'question',
        await bed.reaches('a', family, 'dns', 53),
      ];
      bed.say(family, deaf('a'));
      assert.deepEqual(await both(), [true, true], 'egress is free');
      bed.say(family, mute('a'));
      assert.deepEqual(await both(), [false, false]);
      bed.say(family, mute('a'), ['egress', '0:5 . a', '0:8'], ['ports', '0:8 . udp . 53', '0:3']);
      assert.deepEqual(await both(), [true, false]);
      bed.say(
        family,
        mute('a'),
        ['egress', '0:5 . a', '0:c'],
        ['ranges', '0:c . udp . 50-60', '0:3'],
        ['ports', '0:c . tcp . 53', '0:3'],
      );
      assert.deepEqual(await both(), [true, true]);
      bed.say(family, deaf('dns'), ['ingress', '0:1 . dns', '0:8'], ['ports', '0:8 . tcp . 53', '0:3']);
      assert.deepEqual(await both(), [false, true], 'the pod that stands for it may be isolated as well');
      assert.equal(await pings(bed, 'node', family, 'a'), true, 'NP12');
    },
  );

  test(
    `${family}: cluster DNS that leads to another node's is judged as cluster DNS, whatever is said of that node`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      bed.services(family);
      bed.serveUdp('peer', family, 9053);
      await bed.serveTcp('peer', family, 9053);
      const socket = bed.udp('a', family);
      const both = async (): Promise<[boolean, boolean]> => [
        (await ask(socket, of('dns'), 53)) === 'question',
        await bed.reaches('a', family, 'dns', 53),
      ];
      const dns: Row[] = [
        ['dns', 'dns . udp . 53'],
        ['dns', 'dns . tcp . 53'],
      ];
      const toDns: Row[] = [
        mute('a'),
        ['egress', '0:5 . a', '0:8'],
        ['ports', '0:8 . udp . 53', '0:3'],
        ['ports', '0:8 . tcp . 53', '0:3'],
      ];
      bed.say(family, ...dns, ...toDns);
      assert.deepEqual(await both(), [true, true]);
      bed.say(family, ...toDns);
      assert.deepEqual(await both(), [false, false], 'an ordinary Service is judged by where it leads');
      bed.say(family, ...dns, mute('a'), ['egress', '0:5 . a', '0:8'], ['ports', '0:8 . udp . 9053', '0:3']);
      assert.deepEqual(await both(), [false, false], 'the port is that of cluster DNS');
      bed.say(family, ...dns, deaf('dns'), ['ingress', '0:1 . dns', '0:8'], ['ports', '0:8 . udp . 53', '0:3']);
      assert.deepEqual(await both(), [true, false], 'who may ask it is said of the pod that stands for it');
    },
  );
}
