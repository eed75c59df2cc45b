import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { KernelError } from './errors.ts';
import { type PathError, ProbeSocket } from './probes.ts';
import { writeSysctl } from './sysctl.ts';

const at = IpAddr.parse;

/** a ── router ── b, where the second link carries less. */
function path(secondMtu: number) {
  const world = new TestWorld('probes');
  const a = world.namespace('a');
  const router = world.namespace('router');
  const b = world.namespace('b');
  world.join(a, ['10.0.1.1/24', 'fd00:1::1/64'], router, ['10.0.1.254/24', 'fd00:1::fe/64']);
  world.join(router, ['10.0.2.254/24', 'fd00:2::fe/64'], b, ['10.0.2.1/24', 'fd00:2::1/64']);
  for (const family of ['ipv4', 'ipv6']) writeSysctl(router.ns, `net/${family}/conf/all/forwarding`, 1);
  router.rt.setLink(router.index('to-b'), { mtu: secondMtu });
  b.rt.setLink(b.index('to-router'), { mtu: secondMtu });
  for (const [from, gateway4, gateway6] of [
    [a, '10.0.1.254', 'fd00:1::fe'],
    [b, '10.0.2.254', 'fd00:2::fe'],
  ] as const) {
    from.rt.addRoute({ destination: Prefix.all('ipv4'), gateway: at(gateway4) });
    from.rt.addRoute({ destination: Prefix.all('ipv6'), gateway: at(gateway6) });
  }
  return { a, router, b, [Symbol.dispose]: () => world[Symbol.dispose]() };
}

async function eventually<T>(socket: ProbeSocket, get: () => T | undefined): Promise<T> {
  for (;;) {
    const got = get();
    if (got !== undefined) return got;
    assert.ok(await socket.ready(20_000), 'nothing came');
  }
}

for (const [family, source, target, router, headers, tooBig] of [
  ['ipv4', '10.0.1.1', '10.0.2.1', '10.0.1.254', 28, [3, 4]],
  ['ipv6', 'fd00:1::1', 'fd00:2::1', 'fd00:1::fe', 48, [2, 0]],
] as const) {
  test(
    `${family}: NM8: a packet of exactly the path's MTU passes, a larger one is answered with the right number`,
    needsRoot,
    async () => {
      using world = path(1400);
      using receiver = ProbeSocket.udp(world.b.ns, family, { source: at(target), port: 7000 });
      using sender = ProbeSocket.udp(world.a.ns, family, { source: at(source), dontFragment: true });
      sender.send(Buffer.alloc(1400 - headers, 7), at(target), 7000);
      const got = await eventually(receiver, () => receiver.receive());
      assert.deepEqual([got.data.length, String(got.address), got.port], [1400 - headers, source, sender.local.port]);
      sender.send(Buffer.alloc(1401 - headers), at(target), 7000);
      const error: PathError = await eventually(sender, () => sender.receiveError());
      assert.deepEqual(
        [error.errno, error.mtu, [error.type, error.code], String(error.offender)],
        ['EMSGSIZE', 1400, [...tooBig], router],
      );
      assert.equal(`${error.destination?.address} ${error.destination?.port}`, `${target} 7000`);
      // The own link's MTU: the kernel does not even send.
      assert.throws(
        () => sender.send(Buffer.alloc(1501 - headers), at(target), 7000),
        (e) => e instanceof KernelError && e.errno === 'EMSGSIZE',
      );
      const local = await eventually(sender, () => sender.receiveError());
      assert.deepEqual([local.origin, local.mtu], ['local', 1500]);
    },
  );

  test(`${family}: larger datagrams than the MTU pass in fragments where they may`, needsRoot, async () => {
    using world = path(1500);
    using receiver = ProbeSocket.udp(world.b.ns, family, { source: at(target), port: 7000 });
    using sender = ProbeSocket.udp(world.a.ns, family);
    const data = Buffer.from(Array.from({ length: 4000 }, (_, i) => i & 0xff));
    sender.send(data, at(target), 7000);
    assert.deepEqual((await eventually(receiver, () => receiver.receive())).data, data);
    sender.send(data, at(target), 7001);
    const error = await eventually(sender, () => sender.receiveError());
    assert.deepEqual([error.errno, error.origin], ['ECONNREFUSED', family === 'ipv4' ? 'icmp' : 'icmpv6']);
  });

  test(`${family}: echo requests are answered with what was sent`, needsRoot, async () => {
    using world = path(1500);
    using sender = ProbeSocket.icmp(world.a.ns, family, { source: at(source), dontFragment: true });
    sender.echo(at(target), 7, 100);
    const reply = await eventually(sender, () => sender.receiveEcho());
    assert.deepEqual([String(reply.address), reply.sequence, reply.data.length, reply.data[99]], [target, 7, 100, 99]);
    sender.echo(at(family === 'ipv4' ? '10.0.9.9' : 'fd00:9::9'), 8);
    const error = await eventually(sender, () => sender.receiveError());
    assert.ok(['ENETUNREACH', 'EHOSTUNREACH'].includes(error.errno), error.errno);
    assert.equal(sender.receiveEcho(), undefined);
  });
}
