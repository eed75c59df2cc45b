import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { bindUdp, connectTcp, listenTcp } from '../kernel/sockets.ts';
import { families, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type Item, Reconciler, RtWriter, SysctlWriter } from '../reconcile/index.ts';
import { ip, run } from '../testing/judge.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { planAnnouncement } from './plan.ts';
import { Speaker } from './speaker.ts';

const vips = ['192.0.2.200', '2001:db8::200'].map((text) => IpAddr.parse(text));
const networks = ['192.0.2.0/24', '2001:db8::/64'].map((text) => Prefix.parse(text));

interface Neighbour {
  dst: string;
  lladdr?: string;
}

/** A router and two nodes on one link. */
class Link implements Disposable {
  readonly #world = new TestWorld('announce');
  readonly #switch = this.#world.namespace('switch');
  readonly router = this.#connect('router', 1);
  readonly a = this.#node('node-a', 11);
  readonly b = this.#node('node-b', 12);

  #connect(name: string, host: number): TestNs {
    const ns = this.#world.namespace(name);
    if (!this.#switch.rt.link('bridge')) run(this.#switch.path, 'ip', 'link', 'add', 'bridge', 'up', 'type', 'bridge');
    this.#world.join(ns, [`192.0.2.${host}/24`, `2001:db8::${host}/64`], this.#switch, [], ['eth0', name]);
    run(this.#switch.path, 'ip', 'link', 'set', name, 'master', 'bridge');
    return ns;
  }

  #node(name: string, host: number) {
    const ns = this.#connect(name, host);
    run(ns.path, 'ip', 'link', 'add', 'sink', 'up', 'type', 'bridge');
    const addresses = [`192.0.2.${host}`, `2001:db8::${host}`].map((text) => IpAddr.parse(text));
    const reconciler = new Reconciler([new SysctlWriter(ns.ns), new RtWriter(ns.rt)]);
    const forwarding: Item[] = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'].map((name) => ({
      kind: 'sysctl',
      name,
      value: '1',
    }));
    reconciler.contribute('node', forwarding);
    const { index, mac } = ns.rt.link('eth0')!;
    const node = { name, addresses, uplink: 'eth0', onLink: networks, sink: 'sink' };
    return {
      ...{ ns, addresses, link: { index, mac: mac!, families } },
      announce(wanted: readonly IpAddr[]): void {
        for (const vip of vips) reconciler.contribute(`${vip}`, wanted.includes(vip) ? planAnnouncement(vip, node) : []);
        assert.deepEqual(reconciler.sync().failures, []);
      },
    };
  }

  /** The MAC under which the router knows an address. */
  known(vip: IpAddr): string | undefined {
    return ip<Neighbour>(this.router.path, 'neigh', 'show', String(vip))[0]?.lladdr;
  }

  /** Sends the router's packets to the address until it knows who has it. */
  async resolve(vip: IpAddr): Promise<string | undefined> {
    const socket = dgram.createSocket(vip.family === 'ipv4' ? 'udp4' : 'udp6');
    socket.bind({ fd: bindUdp(this.router.ns, IpAddr.unspecified(vip.family), 0) });
    try {
      for (let tries = 0; tries < 60; tries++) {
        await new Promise((resolve) => socket.send('x', 9, String(vip), resolve));
        await delay(tries < 5 ? 10 : 100);
        if (this.known(vip)) return this.known(vip);
      }
      return undefined;
    } finally {
      socket.close();
    }
  }

  [Symbol.dispose](): void {
    this.#world[Symbol.dispose]();
  }
}

async function until(check: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 600; tries++) {
    if (check()) return true;
    await delay(30);
  }
  return false;
}

test(
  'a router finds the node that announces an address by ARP and by ND, and follows it to another node without asking',
  needsRoot,
  async () => {
    using link = new Link();
    const { a, b } = link;
    a.announce(vips);
    for (const vip of vips) assert.equal(await link.resolve(vip), String(a.link.mac), `${vip}`);
    a.announce([]);
    b.announce(vips);
    using speaker = new Speaker(b.ns.ns, b.link, () => {});
    for (const vip of vips) {
      speaker.announce(vip);
      assert.ok(await until(() => link.known(vip) === String(b.link.mac)), `${vip} is still at ${link.known(vip)}`);
    }
  },
);

test(
  'a node that announces an address does not hold it: none of its processes is reached by it, and nothing else answers',
  needsRoot,
  async () => {
    using link = new Link();
    const { a } = link;
    a.announce(vips);
    for (const vip of vips) {
      assert.ok(!run(a.ns.path, 'ip', '-o', 'address').includes(String(vip)), 'no interface has it');
      const server = net
        .createServer((socket) => socket.end())
        .listen({ fd: listenTcp(a.ns.ns, IpAddr.unspecified(vip.family), 2222) });
      try {
        const own = a.addresses.find(({ family }) => family === vip.family)!;
        (await connectTcp(link.router.ns, own, 2222, { timeoutMs: 5000 })).destroy();
        await assert.rejects(connectTcp(link.router.ns, vip, 2222, { timeoutMs: 400 }), /ETIMEDOUT|EHOSTUNREACH|ECONNREFUSED/);
      } finally {
        server.close();
      }
    }
    a.announce([vips[0]!]);
    assert.ok(ip(a.ns.path, 'neigh', 'show', 'proxy').some((entry) => entry.dst === String(vips[0])));
    run(link.router.path, 'ip', 'neigh', 'flush', 'dev', 'eth0');
    assert.equal(await link.resolve(vips[0]!), String(a.link.mac), 'the other goes on');
  },
);

test('whether a node is there is found out by ARP and by ND; one without a link is silent', needsRoot, async () => {
  using link = new Link();
  const { a, b } = link;
  const heard = new Map<string, string | undefined>();
  using speaker = new Speaker(a.ns.ns, a.link, (address, mac) => heard.set(String(address), mac?.toString()));
  const ask = (): void => {
    for (const [at, target] of b.addresses.entries()) speaker.ask(target, a.addresses[at]!);
  };
  ask();
  assert.ok(await until(() => b.addresses.every((address) => heard.has(String(address)))), [...heard.keys()].join());
  assert.equal(heard.get(String(b.addresses[0])), String(b.link.mac));
  heard.clear();
  speaker.ask(b.addresses[0]!, a.addresses[0]!, b.link.mac);
  assert.ok(await until(() => heard.has(String(b.addresses[0]))), 'asked alone');
  run(b.ns.path, 'ip', 'link', 'set', 'eth0', 'down');
  heard.clear();
  ask();
  await delay(200);
  assert.deepEqual(
    [...heard.keys()].filter((text) => b.addresses.map(String).includes(text)),
    [],
  );
});
