import dgram from 'node:dgram';
import net from 'node:net';
import { KernelError } from '../kernel/errors.ts';
import type { NetNs } from '../kernel/netns.ts';
import { patience } from '../kernel/patience.ts';
import { bindUdp, connectTcp, listenTcp, localEndpoint } from '../kernel/sockets.ts';
import { IpAddr } from '../net/ip.ts';

/** What the other side saw, or why nothing came. */
export type Answer = { seen: IpAddr } | { failed: string };

interface Waiting {
  arrived?: IpAddr;
  resolve(answer: Answer): void;
}

/** Every datagram in flight of this process, by token: so that a lost answer can be told from a lost question. */
const inFlight = new Map<string, Waiting>();
let tokens = 0;

const question = 'podnet-verify?';
const answer = 'podnet-verify!';

/** A datagram that a Station knows, and the address that it came from when it did: for what must not come. */
export function watchFor(): { data: Buffer; arrived(): IpAddr | undefined; end(): void } {
  const token = String(++tokens);
  const waiting: Waiting = { resolve: () => undefined };
  inFlight.set(token, waiting);
  return {
    data: Buffer.from(`${question} ${token}`),
    arrived: () => waiting.arrived,
    end: () => void inFlight.delete(token),
  };
}

/**
 * One address of one namespace: a TCP listener and two UDP sockets on ports of the kernel's choice. Whoever asks is told the address it was seen from.
 * A pod costs three sockets for each family however many others there are. What asks over UDP is another socket than what answers: were it one, the second
 * question of each pair would be the reply of the first one's connection, and pass through whatever lets replies through (NAT, stateful filters).
 */
export class Station implements Disposable {
  readonly address: IpAddr;
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly #ns: NetNs;
  readonly #server: net.Server;
  /** One whose asker went without a word, with its namespace, would hold the process for as long as the kernel sends its end again: a quarter of an hour. */
  readonly #accepted = new Set<net.Socket>();
  readonly #answering: dgram.Socket;
  readonly #asking: dgram.Socket;

  constructor(ns: NetNs, address: IpAddr) {
    this.#ns = ns;
    this.address = address;
    const tcp = listenTcp(ns, address, 0);
    this.tcpPort = localEndpoint(tcp).port;
    this.#server = net.createServer((socket) => {
      this.#accepted.add(socket);
      socket.on('close', () => this.#accepted.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.end(socket.remoteAddress ?? '');
    });
    this.#server.listen({ fd: tcp });
    const answering = this.#udp();
    this.udpPort = answering.port;
    this.#answering = answering.socket;
    this.#asking = this.#udp().socket;
  }

  async askTcp(to: Station, timeoutMs: number): Promise<Answer> {
    return askTcp(this.#ns, to.address, to.tcpPort, timeoutMs);
  }

  /** @param size of the datagram's payload in bytes */
  async askUdp(to: Station, size: number, timeoutMs: number): Promise<Answer> {
    const token = String(++tokens);
    const data = Buffer.alloc(Math.max(size, 64), ' ');
    data.write(`${question} ${token}`);
    return new Promise((resolve) => {
      const finish = (result: Answer): void => {
        stop();
        inFlight.delete(token);
        resolve(result);
      };
      const waiting: Waiting = { resolve: finish };
      const late = (): void => {
        const stage = waiting.arrived
          ? `the datagram arrived (from ${waiting.arrived}), its answer was lost`
          : 'the datagram never arrived';
        finish({ failed: `timed out after ${timeoutMs} ms: ${stage}` });
      };
      const stop = patience(timeoutMs, late);
      inFlight.set(token, waiting);
      this.#asking.send(data, to.udpPort, String(to.address), (error) => {
        if (error) finish({ failed: `cannot be sent: ${error.message}` });
      });
    });
  }

  #udp(): { socket: dgram.Socket; port: number } {
    const fd = bindUdp(this.#ns, this.address, 0, { receiveBufferBytes: 4 << 20 });
    const { port } = localEndpoint(fd);
    const socket = dgram.createSocket(this.address.family === 'ipv4' ? 'udp4' : 'udp6');
    socket.on('message', (data, from) => this.#received(data, from));
    socket.on('error', () => undefined); // of a datagram sent before; its asker times out
    // A descriptor is taken over at once: both can be used from here on.
    socket.bind({ fd, exclusive: true });
    return { socket, port };
  }

  #received(data: Buffer, from: dgram.RemoteInfo): void {
    const [kind, token = '', seen = ''] = data.toString('latin1', 0, 128).trim().split(' ');
    const waiting = inFlight.get(token);
    if (!waiting) return;
    if (kind === question) {
      waiting.arrived = IpAddr.tryParse(from.address);
      this.#answering.send(`${answer} ${token} ${from.address}`, from.port, from.address, () => undefined);
    } else if (kind === answer) {
      const address = IpAddr.tryParse(seen);
      waiting.resolve(address ? { seen: address } : { failed: `a garbled answer: ${seen}` });
    }
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#accepted) socket.destroy();
    this.#answering.close();
    this.#asking.close();
  }
}

const reasons: Record<string, string> = {
  ECONNREFUSED: 'connection refused: nothing listens there, or a firewall rejects',
  ETIMEDOUT: 'timed out while connecting: the SYN or its answer was lost',
  EHOSTUNREACH: 'no route to host: a router or the neighbour lookup said so',
  ENETUNREACH: 'network unreachable: no route',
};

/** The field's words for why a connection failed. */
export function tcpReason(error: unknown): string {
  if (error instanceof KernelError) return `${reasons[error.errno] ?? error.message} (${error.errno})`;
  return error instanceof Error ? error.message : String(error);
}

/** Connects to a Station's listener and reads what it saw. */
export async function askTcp(ns: NetNs, address: IpAddr, port: number, timeoutMs: number): Promise<Answer> {
  let socket: net.Socket;
  try {
    socket = await connectTcp(ns, address, port, { timeoutMs });
  } catch (error) {
    return { failed: tcpReason(error) };
  }
  return new Promise((resolve) => {
    let text = '';
    const finish = (result: Answer): void => {
      stop();
      socket.destroy();
      resolve(result);
    };
    const stop = patience(timeoutMs, () => finish({ failed: `connected, but no data in ${timeoutMs} ms` }));
    socket.on('data', (data) => (text += data.toString('latin1')));
    socket.on('error', (error) => finish({ failed: `connected, then: ${error.message}` }));
    socket.on('end', () => {
      const seen = IpAddr.tryParse(text);
      finish(seen ? { seen } : { failed: `connected, but the answer was "${text}"` });
    });
  });
}
