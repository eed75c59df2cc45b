import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { Nft } from '../../../kernel/nftables/index.ts';
import { ProbeSocket } from '../../../kernel/probes.ts';
import { bindUdp, connectTcp, listenTcp } from '../../../kernel/sockets.ts';
import { IpAddr } from '../../../net/ip.ts';
import { Prefix } from '../../../net/prefix.ts';
import { type Item, NftWriter, Reconciler, SysctlWriter } from '../../../reconcile/index.ts';
import { run } from '../../../testing/judge.ts';
import { type TestNs, TestWorld } from '../../../testing/netns.ts';
import type { Packet } from '../../packet.ts';
import { hasIdentity, type World } from '../../world.ts';
import { planPolicyChains } from '../chains/chains.ts';
import { defaultConnmarkMask, planEpoch } from '../chains/epoch.ts';
import { podLinks } from './cluster.ts';

/** How long is waited for what must come, on a busy machine too. */
const patienceMs = 5000;
/** How long silence lasts that is a denial. */
const silenceMs = 500;

/** One node of a generated world with its pods as namespaces; all others (the other node, its pods, the outside) are addresses of one namespace behind it. */
export class RealNode implements AsyncDisposable {
  readonly #world = new TestWorld('policy');
  readonly #node: TestNs;
  readonly #far: TestNs;
  readonly #places = new Map<string, TestNs>();
  readonly #nft: Nft;
  readonly #reconciler: Reconciler;
  readonly #served = new Map<string, () => Promise<unknown>>();
  readonly #open: net.Socket[] = [];

  /** @param others addresses that packets have besides those of pods and nodes */
  constructor(world: World, name: string, others: readonly IpAddr[]) {
    this.#node = this.#world.namespace('node');
    this.#far = this.#world.namespace('far');
    this.#world.join(this.#node, ['172.31.0.1/24', 'fd99::1/64'], this.#far, ['172.31.0.2/24', 'fd99::2/64']);
    const defaultRoutes = (where: TestNs, link: string, gateways: readonly string[]): void => {
      for (const gateway of gateways.map(IpAddr.parse))
        where.rt.addRoute({ destination: Prefix.all(gateway.family), gateway, link: where.index(link), protocol: 4 });
    };
    defaultRoutes(this.#far, 'to-node', ['172.31.0.1', 'fd99::1']);
    defaultRoutes(this.#node, 'to-far', ['172.31.0.2', 'fd99::2']);
    for (const pod of world.pods.filter((one) => hasIdentity(one) && one.node === name)) this.#pod(pod.name, pod.addresses);
    for (const address of [
      ...world.nodes.flatMap(({ addresses }) => addresses),
      ...world.pods.flatMap(({ addresses }) => addresses),
      ...others,
    ]) {
      if (this.#places.has(`${address}`)) continue;
      const where = world.nodeAt.get(`${address}`)?.name === name ? this.#node : this.#far;
      where.rt.addAddress({ link: 1, address, prefixLength: address.bytes.length * 8, flags: ['nodad'] });
      this.#places.set(`${address}`, where);
    }
    this.#nft = Nft.open(this.#node.ns);
    this.#reconciler = new Reconciler([new SysctlWriter(this.#node.ns), new NftWriter(this.#nft)]);
    this.#reconciler.contribute('layout', [
      ...[{ kind: 'sysctl', name: 'net/ipv4/ip_forward', value: '1' } as const],
      ...[{ kind: 'sysctl', name: 'net/ipv6/conf/all/forwarding', value: '1' } as const],
      ...[{ kind: 'nft-table', name: 'podnet' } as const, ...planPolicyChains({ podLinks })],
    ]);
    this.#reconciler.contribute('epoch', planEpoch(0xffff, defaultConnmarkMask));
  }

  #pod(name: string, addresses: readonly IpAddr[]): void {
    const pod = this.#world.namespace(name);
    this.#world.join(
      this.#node,
      ['169.254.1.1/32', 'fe80::1/128'],
      pod,
      addresses.map((one) => `${one}/${one.bytes.length * 8}`),
    );
    run(this.#node.path, 'ip', 'link', 'set', `to-${name}`, 'group', `${podLinks.group}`);
    const [link, inside] = [this.#node.index(`to-${name}`), pod.index('to-node')];
    for (const address of addresses) {
      this.#node.rt.addRoute({ destination: Prefix.host(address), link, protocol: 4 });
      const gateway = IpAddr.parse(address.family === 'ipv4' ? '169.254.1.1' : 'fe80::1');
      pod.rt.addRoute({ destination: Prefix.all(address.family), gateway, onlink: true, link: inside, protocol: 4 });
      this.#places.set(`${address}`, pod);
    }
  }

  /** Elements, and behind them their epoch. */
  write(elements: readonly Item[], epoch: number): void {
    const sync = (): void => {
      const [failure] = this.#reconciler.sync().failures;
      if (failure) throw failure.error;
    };
    this.#reconciler.contribute('elements', elements);
    sync();
    this.#reconciler.contribute('epoch', planEpoch(epoch, defaultConnmarkMask));
    sync();
  }

  /** Somebody answers there. */
  async serve({ destination, protocol, port = 0 }: Packet): Promise<void> {
    const key = `${destination} ${protocol} ${port}`;
    if (protocol === 'ICMP' || this.#served.has(key)) return;
    const { ns } = this.#places.get(`${destination}`)!;
    if (protocol === 'UDP') {
      const socket = dgram.createSocket(destination.family === 'ipv4' ? 'udp4' : 'udp6');
      socket.on('message', (data, from) => socket.send(data, from.port, from.address));
      socket.bind({ fd: bindUdp(ns, destination, port) });
      this.#served.set(key, () => new Promise<void>((resolve) => socket.close(resolve)));
      return;
    }
    const server = net.createServer((socket) => {
      this.#open.push(socket.on('error', () => {}));
      socket.on('data', (data) => socket.write(data));
    });
    server.listen({ fd: listenTcp(ns, destination, port) });
    await once(server, 'listening');
    this.#served.set(key, () => new Promise((resolve) => server.close(resolve)));
  }

  /**
   * Whether a new one is answered; a TCP connection stays open.
   * @param expected that it is: then there is time
   */
  async passes({ source, destination, protocol, port = 0 }: Packet, expected: boolean): Promise<net.Socket | boolean> {
    const timeoutMs = expected ? patienceMs : silenceMs;
    const { ns } = this.#places.get(`${source}`)!;
    if (protocol === 'TCP') {
      try {
        const socket = await connectTcp(ns, destination, port, { source, timeoutMs });
        this.#open.push(socket.setNoDelay(true).on('error', () => {}));
        return socket;
      } catch {
        return false;
      }
    }
    using socket =
      protocol === 'UDP' ? ProbeSocket.udp(ns, source.family, { source }) : ProbeSocket.icmp(ns, source.family, { source });
    if (protocol === 'UDP') socket.send(Buffer.from('question'), destination, port);
    else socket.echo(destination, 1);
    for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
      await socket.ready(Math.max(1, Math.ceil(end - performance.now())));
      if (protocol === 'UDP' ? socket.receive() : socket.receiveEcho()) return true;
      if (socket.receiveError()) return false;
    }
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await Promise.all([...this.#served.values()].map((close) => close()));
    this.#nft[Symbol.dispose]();
    this.#world[Symbol.dispose]();
  }
}

/** Whether an open connection still carries what is written, there and back. */
export async function carries(socket: net.Socket): Promise<'carries' | 'reset' | 'silent'> {
  if (socket.destroyed) return 'reset';
  const signal = AbortSignal.timeout(patienceMs);
  const answered = once(socket, 'data', { signal }).then(() => 'carries' as const);
  const ended = new Promise<'reset'>((resolve) => socket.once('close', () => resolve('reset')));
  socket.write('x');
  return Promise.race([answered, ended]).catch((error: NodeJS.ErrnoException) =>
    error.name === 'AbortError' ? 'silent' : 'reset',
  );
}
