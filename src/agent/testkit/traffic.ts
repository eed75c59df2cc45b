import { createSocket, type Socket } from 'node:dgram';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp, connectTcp, listenTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';

const any = (address: IpAddr): IpAddr => IpAddr.unspecified(address.family);

function udpSocket(ns: NetNs, at: IpAddr, port: number): Promise<Socket> {
  const socket = createSocket(at.family === 'ipv4' ? 'udp4' : 'udp6');
  const fd = bindUdp(ns, at, port, { receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20 });
  return new Promise((resolve) => socket.bind({ fd }, () => resolve(socket)));
}

/** Says back what it hears, by TCP and UDP and both families, from within a namespace. */
export class Echo implements Disposable {
  readonly #closers: (() => void)[] = [];
  /** Datagrams and connections that came here. */
  heard = 0;

  static async start(ns: NetNs, port: number): Promise<Echo> {
    const echo = new Echo();
    for (const family of ['ipv4', 'ipv6'] as const) {
      const at = IpAddr.unspecified(family);
      const udp = await udpSocket(ns, at, port);
      udp.on('message', (data, from) => {
        echo.heard++;
        udp.send(data, from.port, from.address);
      });
      const server = net.createServer((socket) => {
        echo.heard++;
        socket.on('error', () => {});
        socket.pipe(socket);
      });
      const connections = new Set<net.Socket>();
      server.on('connection', (socket) => void connections.add(socket));
      // Hundreds may come before this process gets its turn.
      server.listen({ fd: listenTcp(ns, at, port, { backlog: 4096 }) });
      echo.#closers.push(
        () => udp.close(),
        () => server.close(),
        () => {
          for (const socket of connections) socket.destroy();
        },
      );
    }
    return echo;
  }

  [Symbol.dispose](): void {
    for (const close of this.#closers) close();
  }
}

export interface Flow {
  name: string;
  sent: number;
  answered: number;
  faults: string[];
  /** The numbers of those that have no answer yet, where that is known. */
  open?: Set<number>;
}

/** Questions that are asked again and again from within a namespace; counts those that were never answered. */
export class Traffic implements Disposable {
  readonly flows: Flow[] = [];
  readonly #ns: NetNs;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #closers = new Set<() => void>();

  constructor(ns: NetNs) {
    this.#ns = ns;
  }

  /** One socket, so one connection as conntrack sees it. */
  async udpFlow(name: string, address: string, port: number, everyMs = 10): Promise<void> {
    const to = IpAddr.parse(address);
    const socket = await udpSocket(this.#ns, any(to), 0);
    this.#closers.add(() => socket.close());
    const flow = this.#flow(name);
    const open = new Set<number>();
    flow.open = open;
    socket.on('error', (error) => flow.faults.push(error.message));
    socket.on('message', (data) => {
      if (open.delete(Number(data))) flow.answered++;
    });
    await new Promise<void>((resolve) => void socket.connect(port, address, resolve));
    this.#each(everyMs, () => {
      open.add(flow.sent);
      socket.send(`${flow.sent++}`);
    });
  }

  /** A new socket for each question: each finds its way through the Service's tables anew. */
  udpQuestions(name: string, address: string, port: number, question: Buffer, everyMs = 25): void {
    const to = IpAddr.parse(address);
    const flow = this.#flow(name);
    this.#each(everyMs, async () => {
      flow.sent++;
      const socket = await udpSocket(this.#ns, any(to), 0);
      const close = (): void => void (this.#closers.delete(close) && socket.close());
      this.#closers.add(close);
      socket.on('error', (error) => flow.faults.push(error.message));
      socket.once('message', (data) => {
        if (data.length >= question.length) flow.answered++;
        else flow.faults.push(`answered ${data.toString('hex')}`);
        close();
      });
      socket.send(question, port, address);
    });
  }

  /** One TCP connection that must live on. */
  async tcpFlow(name: string, address: string, port: number, everyMs = 10): Promise<void> {
    const socket = await connectTcp(this.#ns, IpAddr.parse(address), port, { timeoutMs: 20_000 });
    this.#closers.add(() => socket.destroy());
    const flow = this.#flow(name);
    let ended = false;
    socket.on('error', (error) => flow.faults.push(error.message));
    socket.on('close', () => {
      if (!ended) flow.faults.push('the connection was closed');
      ended = true;
    });
    let rest = '';
    socket.on('data', (data) => {
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (line !== `${flow.answered}`) flow.faults.push(`${line} came where ${flow.answered} should`);
        flow.answered++;
      }
    });
    this.#closers.add(() => {
      ended = true;
    });
    this.#each(everyMs, () => void (ended || socket.write(`${flow.sent++}\n`)));
  }

  /** A new TCP connection each time. */
  tcpConnections(name: string, address: string, port: number, everyMs = 50): void {
    const flow = this.#flow(name);
    const to = IpAddr.parse(address);
    this.#each(everyMs, async () => {
      const number = flow.sent++;
      try {
        const socket = await connectTcp(this.#ns, to, port, { timeoutMs: 20_000 });
        const close = (): void => void (this.#closers.delete(close) && socket.destroy());
        this.#closers.add(close);
        socket.on('error', (error) => flow.faults.push(error.message));
        socket.once('data', (data) => {
          if (data.toString() === `${number}`) flow.answered++;
          close();
        });
        socket.write(`${number}`);
      } catch (error) {
        flow.faults.push((error as Error).message);
      }
    });
  }

  /** Asks nothing more, and waits for the answers that are still to come. @returns what was lost, a sentence each */
  async end(patienceMs = 15_000): Promise<string[]> {
    for (const timer of this.#timers) clearInterval(timer);
    const open = (): Flow[] => this.flows.filter(({ sent, answered, faults }) => answered < sent && faults.length === 0);
    for (const end = performance.now() + patienceMs; open().length > 0 && performance.now() < end; ) await sleep(20);
    return this.flows.flatMap(({ name, sent, answered, faults, open: numbers }) => [
      ...(answered < sent
        ? [`${name}: ${sent - answered} of ${sent} were not answered: ${[...(numbers ?? [])].slice(0, 9).join()}`]
        : []),
      ...faults.slice(0, 3).map((fault) => `${name}: ${fault}`),
    ]);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const close of [...this.#closers].reverse()) close();
  }

  #flow(name: string): Flow {
    const flow = { name, sent: 0, answered: 0, faults: [] };
    this.flows.push(flow);
    return flow;
  }

  #each(everyMs: number, ask: () => void | Promise<void>): void {
    this.#timers.push(setInterval(() => void ask(), everyMs));
  }
}
