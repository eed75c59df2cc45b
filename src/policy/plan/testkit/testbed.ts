import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { isNotFound } from '../../../kernel/errors.ts';
import { Nft } from '../../../kernel/nftables/index.ts';
import { ProbeSocket } from '../../../kernel/probes.ts';
import { bindUdp, connectTcp, listenTcp } from '../../../kernel/sockets.ts';
import { writeSysctl } from '../../../kernel/sysctl.ts';
import { type Family, IpAddr } from '../../../net/ip.ts';
import { Prefix } from '../../../net/prefix.ts';
import { type Item, NftWriter, Reconciler, SysctlWriter } from '../../../reconcile/index.ts';
import { run } from '../../../testing/judge.ts';
import { type TestNs, TestWorld } from '../../../testing/netns.ts';
import { planPolicyChains } from '../chains/chains.ts';
import { defaultConnmarkMask, planEpoch } from '../chains/epoch.ts';

const at = IpAddr.parse;
/** Of pods, on the node. */
const gateways = ['169.254.1.1/32', 'fe80::1/128'];
const podGroup = 28782;
const digit = { ipv4: 4, ipv6: 6 } as const;

/** Pods a, b, c are on the node; `far` is behind another one, whose own address `peer` is. */
const addresses: Record<string, Record<Family, string>> = {
  a: { ipv4: '10.1.0.2', ipv6: 'fd00:1::2' },
  b: { ipv4: '10.1.0.3', ipv6: 'fd00:1::3' },
  c: { ipv4: '10.1.0.4', ipv6: 'fd00:1::4' },
  node: { ipv4: '192.168.0.1', ipv6: 'fd00:192::1' },
  peer: { ipv4: '192.168.0.2', ipv6: 'fd00:192::2' },
  far: { ipv4: '10.1.1.5', ipv6: 'fd00:2::5' },
  // A Service of b, port 80 to 8080, and one of a; cluster DNS.
  service: { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' },
  itself: { ipv4: '10.96.0.2', ipv6: 'fd00:96::2' },
  dns: { ipv4: '10.96.0.10', ipv6: 'fd00:96::a' },
};
export const addressOf = (name: string, family: Family): string => addresses[name]![family];

/** `egress-default4` of pod a: `['egress-default', 'a', 'none']`; names of ends stand for their addresses. */
export type Row = readonly [set: string, key: string, data?: string];

/** Identities that tests give: nobody special has 0. */
const identity = { a: '0:1', b: '0:2', c: '0:3', far: '0:4', dns: '0:5', node: '0:6' } as const;

export class PolicyBed implements AsyncDisposable {
  readonly world = new TestWorld('policy');
  readonly node: TestNs;
  readonly nft: Nft;
  readonly reconciler: Reconciler;
  readonly #namespaces = new Map<string, TestNs>();
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly #bridge: string | undefined;
  #epoch = 0;

  /** @param bridge pods are isolated ports of it, as in bridge mode; else each is routed by a link of its own */
  constructor({ bridge }: { bridge?: string } = {}) {
    this.#bridge = bridge;
    this.node = this.world.namespace('node');
    const far = this.world.namespace('far');
    this.#namespaces.set('node', this.node).set('far', far).set('peer', far);
    const both = (name: string, lengths: readonly [number, number]): string[] => [
      `${addressOf(name, 'ipv4')}/${lengths[0]}`,
      `${addressOf(name, 'ipv6')}/${lengths[1]}`,
    ];
    this.world.join(this.node, both('node', [24, 64]), far, [...both('peer', [24, 64]), ...both('far', [32, 128])]);
    for (const family of ['ipv4', 'ipv6'] as const) {
      route(far, family === 'ipv4' ? '10.1.0.0/24' : 'fd00:1::/64', addressOf('node', family), 'to-node');
      route(this.node, family === 'ipv4' ? '10.1.1.0/24' : 'fd00:2::/64', addressOf('peer', family), 'to-far');
    }
    if (bridge !== undefined) this.#addBridge(bridge);
    for (const name of ['a', 'b', 'c']) this.#pod(name);
    this.nft = Nft.open(this.node.ns);
    this.reconciler = new Reconciler([new SysctlWriter(this.node.ns), new NftWriter(this.nft)]);
    const forwarding: Item[] = [
      { kind: 'sysctl', name: 'net/ipv4/ip_forward', value: '1' },
      { kind: 'sysctl', name: 'net/ipv6/conf/all/forwarding', value: '1' },
    ];
    const chains = planPolicyChains({ podLinks: { group: podGroup, ...(bridge === undefined ? {} : { bridge }) } });
    this.reconciler.contribute('layout', [...forwarding, { kind: 'nft-table', name: 'podnet' }, ...chains]);
    this.beginEpoch(1);
  }

  #addBridge(bridge: string): void {
    const ip = (...args: string[]): unknown => run(this.node.path, 'ip', ...args);
    ip('link', 'add', bridge, 'up', 'type', 'bridge');
    for (const address of gateways) ip('address', 'add', address, 'dev', bridge, 'nodad');
    // As the room `links` has it: what the bridge forwards is no business of IP, and nobody is told of a shorter way, which isolated ports have not.
    for (const hook of ['iptables', 'ip6tables', 'arptables']) setIfThere(this.node, `net/bridge/bridge-nf-call-${hook}`, '0');
    for (const one of ['all', bridge]) writeSysctl(this.node.ns, `net/ipv4/conf/${one}/send_redirects`, '0');
  }

  #pod(name: string): void {
    const pod = this.world.namespace(name);
    this.#namespaces.set(name, pod);
    const [v4, v6] = [addressOf(name, 'ipv4'), addressOf(name, 'ipv6')];
    const bridge = this.#bridge;
    this.world.join(this.node, bridge === undefined ? gateways : [], pod, [`${v4}/32`, `${v6}/128`]);
    const link = this.node.index(bridge ?? `to-${name}`);
    run(this.node.path, 'ip', 'link', 'set', `to-${name}`, 'group', `${podGroup}`);
    if (bridge !== undefined) {
      run(this.node.path, 'ip', 'link', 'set', `to-${name}`, 'master', bridge);
      run(this.node.path, 'bridge', 'link', 'set', 'dev', `to-${name}`, 'isolated', 'on');
    }
    this.node.rt.addRoute({ destination: Prefix.host(at(v4)), link, protocol: 4 });
    this.node.rt.addRoute({ destination: Prefix.host(at(v6)), link, protocol: 4 });
    for (const family of ['ipv4', 'ipv6']) writeSysctl(pod.ns, `net/${family}/conf/to-node/accept_redirects`, '0');
    const inside = pod.index('to-node');
    pod.rt.addRoute({ destination: Prefix.all('ipv4'), gateway: at('169.254.1.1'), onlink: true, link: inside, protocol: 4 });
    pod.rt.addRoute({ destination: Prefix.all('ipv6'), gateway: at('fe80::1'), onlink: true, link: inside, protocol: 4 });
  }

  namespace(name: string): TestNs {
    return this.#namespaces.get(name)!;
  }

  get epoch(): number {
    return this.#epoch;
  }

  sync(): void {
    const { failures } = this.reconciler.sync();
    if (failures.length > 0) throw failures[0]!.error;
  }

  beginEpoch(epoch: number, mask = defaultConnmarkMask): void {
    this.#epoch = epoch;
    this.reconciler.contribute('epoch', planEpoch(epoch, mask));
    this.sync();
  }

  /** Elements of one family, without an epoch of their own. */
  write(family: Family, rows: readonly Row[]): void {
    const named = (key: string): string =>
      key
        .split(' . ')
        .map((part) => addresses[part]?.[family] ?? part)
        .join(' . ');
    const items = rows.map(([set, key, data]): Item => {
      const name = set === 'ports' || set === 'ranges' ? `policy-${set}` : `policy-${set}${digit[family]}`;
      return { kind: 'nft-element', set: name, key: named(key), ...(data === undefined ? {} : { data }) };
    });
    this.reconciler.contribute('elements', items);
    this.sync();
  }

  /** What policies say now: the elements, and behind them the next epoch. */
  say(family: Family, ...rows: Row[]): void {
    const identities = Object.entries(identity).map(([name, number]): Row => ['ids', name, number]);
    this.write(family, [...identities, ...rows]);
    this.beginEpoch(this.#epoch + 1);
  }

  /** Runs nft in the node, with text as `nft -f` reads it. */
  rules(text: string): void {
    run(this.node.path, 'sh', '-c', `nft -f - <<'END'\n${text}\nEND`);
  }

  /** Translates as Services do: b's at port 80, a's own, cluster DNS to the other node's. */
  services(family: Family): void {
    const ip = family === 'ipv4' ? 'ip' : 'ip6';
    const to = (name: string, port: number): string =>
      family === 'ipv4' ? `${addressOf(name, family)}:${port}` : `[${addressOf(name, family)}]:${port}`;
    this.rules(`table ${ip} services {
      chain pre { type nat hook prerouting priority -100;
        ${ip} daddr ${addressOf('service', family)} tcp dport 80 dnat to ${to('b', 8080)}
        ${ip} daddr ${addressOf('service', family)} udp dport 80 dnat to ${to('b', 8080)}
        ${ip} daddr ${addressOf('itself', family)} tcp dport 80 dnat to ${to('a', 8080)}
        ${ip} daddr ${addressOf('dns', family)} tcp dport 53 dnat to ${to('peer', 9053)}
        ${ip} daddr ${addressOf('dns', family)} udp dport 53 dnat to ${to('peer', 9053)}
      }
      chain post { type nat hook postrouting priority 100;
        ${ip} saddr ${addressOf('a', family)} ${ip} daddr ${addressOf('a', family)} masquerade
      }
    }`);
  }

  /** Answers each TCP connection with what it is sent. @returns the connections that came, the last one last */
  async serveTcp(name: string, family: Family, port: number): Promise<net.Socket[]> {
    const open: net.Socket[] = [];
    const server = net.createServer((socket) => {
      open.push(watched(socket));
      socket.on('data', (data) => socket.write(data));
    });
    server.listen({ fd: listenTcp(this.namespace(name).ns, IpAddr.unspecified(family), port) });
    await once(server, 'listening');
    this.#closing.push(() => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    return open;
  }

  /** Answers each datagram with itself. @param address by default the end's own */
  serveUdp(name: string, family: Family, port: number, address = addressOf(name, family)): dgram.Socket {
    const socket = dgram.createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    socket.on('message', (data, from) => socket.send(data, from.port, from.address));
    socket.bind({ fd: bindUdp(this.namespace(name).ns, at(address), port) });
    this.#closing.push(() => new Promise<void>((resolve) => socket.close(resolve)));
    return socket;
  }

  /** An open connection: what it sends comes back. @throws ECONNREFUSED, ECONNRESET, ETIMEDOUT */
  async connect(from: string, family: Family, to: string, port: number, timeoutMs = 5000): Promise<net.Socket> {
    const source = at(addressOf(from, family));
    const socket = await connectTcp(this.namespace(from).ns, at(addressOf(to, family)), port, { source, timeoutMs });
    this.#closing.push(async () => void socket.destroy());
    return watched(socket);
  }

  /** Whether a new TCP connection is made and answered. */
  async reaches(from: string, family: Family, to: string, port: number): Promise<boolean> {
    return unhurried(async (timeoutMs) => {
      try {
        const socket = await this.connect(from, family, to, port, timeoutMs);
        const answered = await echoes(socket);
        socket.destroy();
        return answered;
      } catch {
        return false;
      }
    });
  }

  /** A UDP socket of a pod, with its own address and port for as long as it lives. */
  udp(from: string, family: Family): ProbeSocket {
    const socket = ProbeSocket.udp(this.namespace(from).ns, family, { source: at(addressOf(from, family)) });
    this.#closing.push(async () => void socket[Symbol.dispose]());
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()));
    this.nft[Symbol.dispose]();
    this.world[Symbol.dispose]();
  }
}

/** How long silence lasts that is a denial. */
const silenceMs = 350;

/** Asks again where this process had no time of its own to hear an answer in: a timer fires before what came meanwhile is read. */
async function unhurried<T>(ask: (timeoutMs: number) => Promise<T>): Promise<T> {
  for (let timeoutMs = silenceMs; ; timeoutMs *= 2) {
    const start = performance.now();
    const answer = await ask(timeoutMs);
    if (performance.now() - start < timeoutMs + 100 || timeoutMs > 4 * silenceMs) return answer;
  }
}

/** @returns whether what is written comes back before the connection ends or some time has passed */
export async function echoes(socket: net.Socket, text = 'x'): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(5000);
    const answer = once(socket, 'data', { signal });
    socket.write(text);
    return String((await answer)[0]) === text;
  } catch {
    return false;
  }
}

const ends = new WeakMap<net.Socket, string>();

/** An acknowledgement that was late ends a connection as well, before anything is written. */
function watched(socket: net.Socket): net.Socket {
  const ended = (how: string): unknown => ends.has(socket) || ends.set(socket, how);
  return socket
    .setNoDelay(true)
    .on('error', (error: NodeJS.ErrnoException) => ended(error.code ?? 'error'))
    .on('close', () => ended('closed'));
}

/** What ends a connection, at the latest once something is written: `ECONNRESET` for a reset. */
export async function endOf(socket: net.Socket): Promise<string> {
  if (!ends.has(socket)) {
    // A socket that nobody reads does not hear of its end.
    socket.resume().write('x');
    await once(socket, 'close', { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
  }
  return ends.get(socket) ?? 'still open';
}

/** @returns what came back: the datagram's text, the ICMP error's type and code, or `nothing` */
export async function ask(socket: ProbeSocket, to: string, port: number): Promise<string> {
  socket.send(Buffer.from('question'), at(to), port);
  return heard(socket);
}

/** @returns the next datagram, or ICMP error `3/3`, or `nothing` */
export const heard = (socket: ProbeSocket): Promise<string> =>
  unhurried(async (timeoutMs) => {
    for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
      await socket.ready(Math.max(1, Math.ceil(end - performance.now())));
      const error = socket.receiveError();
      if (error) return `${error.type}/${error.code}`;
      const got = socket.receive();
      if (got) return got.data.toString();
    }
    return 'nothing';
  });

/** Whether an echo request is answered. */
export async function pings(bed: PolicyBed, from: string, family: Family, to: string): Promise<boolean> {
  using socket = ProbeSocket.icmp(bed.namespace(from).ns, family);
  socket.echo(at(addressOf(to, family)), 1);
  return await unhurried(async (timeoutMs) => {
    for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
      await socket.ready(Math.max(1, Math.ceil(end - performance.now())));
      if (socket.receiveError()) return false;
      if (socket.receiveEcho()) return true;
    }
    return false;
  });
}

/** A kernel without bridge netfilter behaves as wanted. */
function setIfThere({ ns }: TestNs, name: string, value: string): void {
  try {
    writeSysctl(ns, name, value);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

function route(from: TestNs, destination: string, gateway: string, link: string): void {
  from.rt.addRoute({ destination: Prefix.parse(destination), gateway: at(gateway), link: from.index(link), protocol: 4 });
}
