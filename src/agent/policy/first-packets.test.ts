import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProbeSocket } from '../../kernel/probes.ts';
import { bindUdp, connectTcp } from '../../kernel/sockets.ts';
import { podMac } from '../../links/index.ts';
import { families, IpAddr } from '../../net/ip.ts';
import { needsRoot } from '../../testing/root.ts';
import { sendFromTheStart } from '../testkit/first-packets.ts';
import { frame, syn, udp } from '../testkit/frames.ts';
import { eventually } from '../testkit/node.ts';
import { at, echoPort, identity, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';
import { Wire } from '../testkit/wire.ts';

const deny = (labels: Record<string, string>, direction: 'Ingress' | 'Egress') => ({
  podSelector: { matchLabels: labels },
  policyTypes: [direction],
});

/** Until what was said has come back: a connection is there for who made it before the server has taken it. */
async function answered(socket: Socket): Promise<void> {
  socket.write('?');
  await once(socket, 'data', { signal: AbortSignal.timeout(60_000) });
  socket.destroy();
}

test(
  'T22, NP15, P4: of 1000 pods whose first act is to connect where they must not, none gets through, and all do where they may',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.policy('shut', {
      ...deny({ app: 'shut' }, 'Egress'),
      egress: [{ to: [{ podSelector: { matchLabels: { app: 'open' } } }] }],
    });
    const forbidden = await it.pod('forbidden');
    const open = await it.pod('open', { labels: { app: 'open' } });
    using shutPort = await Echo.start(forbidden.ns.ns, echoPort);
    using neighbours = await Echo.start(node.peer.ns, echoPort);
    using openPort = await Echo.start(open.ns.ns, echoPort);
    const total = 1000;
    const atOnce = 100;
    let attached = 0;
    for (let done = 0; done < total; done += atOnce) {
      const names = Array.from({ length: atOnce }, (_, i) => `p${done + i}`);
      await Promise.all(names.map((name) => it.schedule(name, { labels: { app: 'shut' } })));
      const tries: Promise<unknown>[] = [];
      for (const name of names) {
        const ns = node.world.namespace(name);
        // Without a process in between, which would end a moment later.
        const { code, json } = await node.cniAtOnce({
          command: 'ADD',
          containerId: name,
          netns: ns.path,
          ...identity('default', name),
        });
        assert.equal(code, 0, JSON.stringify(json));
        attached++;
        // In the same moment: the SYN is sent by the call.
        for (const to of [...forbidden.addresses, ...it.neighbour.addresses]) {
          tries.push(
            connectTcp(ns.ns, at(to), echoPort, { timeoutMs: 300 }).then(
              (socket) => socket.destroy(),
              () => {},
            ),
          );
          using question = ProbeSocket.udp(ns.ns, at(to).family);
          question.send(Buffer.from('?'), at(to), echoPort);
        }
        for (const to of open.addresses)
          tries.push(connectTcp(ns.ns, at(to), echoPort, { timeoutMs: 60_000 }).then(answered));
      }
      await Promise.all(tries);
      for (const name of names)
        await node.cniAtOnce({ command: 'DEL', containerId: name, netns: `${node.world.directory}/${name}` });
    }
    assert.deepEqual([attached, openPort.heard], [total, 2 * total]);
    assert.deepEqual([shutPort.heard, neighbours.heard], [0, 0]);
  },
);

test(
  'T22, P4: nothing reaches a pod that is isolated for ingress, though others ask for its address before it has one',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.policy('shut', deny({ app: 'shut' }, 'Ingress'));
    const stranger = await it.pod('stranger');
    const askers = [
      ...families.map((family) =>
        ProbeSocket.udp(node.peer.ns, family, { source: at(it.neighbour.addresses[family === 'ipv4' ? 0 : 1]!) }),
      ),
      ...families.map((family) =>
        ProbeSocket.udp(stranger.ns.ns, family, { source: at(stranger.addresses[family === 'ipv4' ? 0 : 1]!) }),
      ),
    ];
    let rounds = 0;
    const ask = (addresses: readonly string[]): void => {
      rounds++;
      for (const [i, asker] of askers.entries())
        try {
          asker.send(Buffer.from('?'), at(addresses[i % 2]!), echoPort);
        } catch {
          // Nobody has the address yet.
        }
    };
    try {
      let heard = 0;
      let control = 0;
      for (let i = 0; i < 60; i++) {
        // Every tenth is not isolated: what is asked does come.
        const isControl = i % 10 === 9;
        await it.schedule(`p${i}`, { labels: { app: isControl ? 'open' : 'shut' } });
        const wanted = [`10.1.0.${100 + i}`, `fd01::1:${i}`];
        const asking = setInterval(() => ask(wanted), 1);
        const pod = await it.attach(`p${i}`, { ips: wanted });
        const sockets = families.map((family) => {
          const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
          socket.on('message', () => void (isControl ? control++ : heard++));
          socket.bind({ fd: bindUdp(pod.ns.ns, IpAddr.unspecified(family), echoPort) });
          return socket;
        });
        for (const from = rounds; rounds < from + 20; ) await sleep(1);
        clearInterval(asking);
        for (const socket of sockets) socket.close();
      }
      assert.equal(heard, 0);
      assert.ok(control > 100, `${control}`);
    } finally {
      for (const asker of askers) asker[Symbol.dispose]();
    }
  },
);

test(
  'T22, P4: a container that was started too early and sends from the moment that it has a link gets nothing out',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    const { node } = it;
    await it.policy('shut', deny({ app: 'shut' }, 'Egress'));
    using peer = new Wire(node.peer, []);
    const seen = { shut: 0, open: 0 };
    for (const [i, app] of (['shut', 'open', 'shut', 'open'] as const).entries()) {
      const number = 100 + i;
      const source = `10.1.0.${number}`;
      const name = `${app}-${number}`;
      const ns = node.world.namespace(name);
      await it.schedule(name, { labels: { app } });
      const bodies = [
        { protocol: 'udp', body: udp(1234, echoPort) },
        { protocol: 'tcp', body: syn(echoPort) },
      ] as const;
      const senders = await Promise.all(
        bodies.map((body) =>
          sendFromTheStart(
            ns.path,
            frame(podMac({ addresses: [at(source)] }), { source: at(source), destination: at('192.0.2.2'), ...body }),
          ),
        ),
      );
      peer.sources();
      const config = { runtimeConfig: { ips: [source] } };
      const { code, json } = await node.cni({
        command: 'ADD',
        containerId: name,
        netns: ns.path,
        ...identity('default', name),
        config,
      });
      assert.equal(code, 0, JSON.stringify(json));
      let came = 0;
      const look = (): number => (came += peer.sources().filter((from) => from === source).length);
      // On a busy machine their turn comes later.
      await eventually(() => {
        look();
        for (const sender of senders) assert.ok(sender.sent() > 20);
        if (app === 'open') assert.ok(came >= senders.length);
      });
      await sleep(50);
      await Promise.all(senders.map((sender) => sender.stop()));
      seen[app] += look();
      await node.cni({ command: 'DEL', containerId: name, netns: ns.path });
    }
    assert.equal(seen.shut, 0);
    assert.ok(seen.open >= 4, `${seen.open}`);
  },
);
