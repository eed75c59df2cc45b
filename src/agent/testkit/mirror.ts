import { createSocket } from 'node:dgram';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp, connectTcp, listenTcp } from '../../kernel/sockets.ts';
import { families, IpAddr } from '../../net/ip.ts';

/** Says its name and whom it sees, by TCP and UDP and both families: `web 192.0.2.2`. */
export class Mirror implements Disposable {
  readonly #closers: (() => void)[] = [];

  /** @param addresses to listen at; answers to datagrams come from there then, and else from where the kernel likes */
  static async start(ns: NetNs, port: number, name: string, addresses?: readonly string[]): Promise<Mirror> {
    const mirror = new Mirror();
    for (const at of addresses?.map(IpAddr.parse) ?? families.map(IpAddr.unspecified)) {
      const udp = createSocket(at.family === 'ipv4' ? 'udp4' : 'udp6');
      const fd = bindUdp(ns, at, port);
      await new Promise<void>((resolve) => void udp.bind({ fd }, () => resolve()));
      udp.on('message', (_, from) => udp.send(`${name} ${from.address}`, from.port, from.address));
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.end(`${name} ${socket.remoteAddress}`);
      });
      server.listen({ fd: listenTcp(ns, at, port) });
      mirror.#closers.push(
        () => udp.close(),
        () => server.close(),
      );
    }
    return mirror;
  }

  [Symbol.dispose](): void {
    for (const close of this.#closers) close();
  }
}

/** What a mirror answers that is asked by TCP from within a namespace. @throws KernelError ECONNREFUSED and others */
export async function askTcp(from: NetNs, address: string, port: number, timeoutMs = 10_000): Promise<string> {
  const socket = await connectTcp(from, IpAddr.parse(address), port, { timeoutMs });
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`${address} port ${port} took the connection and says nothing`)));
  return text(socket);
}

/** One UDP socket within a namespace, which is one flow to conntrack. */
export class UdpClient implements Disposable {
  readonly #socket;
  readonly #to: [port: number, address: string];

  private constructor(socket: ReturnType<typeof createSocket>, to: [number, string]) {
    this.#socket = socket;
    this.#to = to;
  }

  /** Connected, so that a refusal is heard. */
  static async open(from: NetNs, address: string, port: number): Promise<UdpClient> {
    const { family } = IpAddr.parse(address);
    const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    const fd = bindUdp(from, IpAddr.unspecified(family), 0);
    await new Promise<void>((resolve) => void socket.bind({ fd }, () => resolve()));
    await new Promise<void>((resolve) => void socket.connect(port, address, resolve));
    return new UdpClient(socket, [port, address]);
  }

  /** @throws Error with code ECONNREFUSED, or when nothing comes in time */
  ask(timeoutMs = 10_000): Promise<string> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        socket.off('message', onMessage).off('error', onError);
      };
      const onMessage = (data: Buffer): void => {
        done();
        resolve(data.toString());
      };
      const onError = (error: Error): void => {
        done();
        reject(error);
      };
      const timer = setTimeout(() => onError(new Error(`no datagram from ${this.#to.join(' port ')}`)), timeoutMs);
      socket.on('message', onMessage).on('error', onError);
      socket.send('hello');
    });
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

export async function askUdp(from: NetNs, address: string, port: number, timeoutMs?: number): Promise<string> {
  using client = await UdpClient.open(from, address, port);
  return await client.ask(timeoutMs);
}
