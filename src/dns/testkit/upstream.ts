import dgram from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { formatName } from '../wire/names.ts';
import { parseMessage } from '../wire/message.ts';
import { typeName } from '../wire/constants.ts';

/** What a resolver was asked, and over what. */
export interface Asked {
  /** In lower case. */
  name: string;
  type: string;
  transport: 'udp' | 'tcp';
}

/** Gives the answer's bytes, or several datagrams; undefined: never answers. May take its time. */
export type Behaviour = (request: Buffer, asked: Asked) => Buffer | Buffer[] | undefined | Promise<Buffer | Buffer[] | undefined>;

/**
 * A resolver on 127.0.0.1, over UDP and TCP on one port, that does what the test says. Probes for loops (HINFO) and of health (the root's NS) are not counted
 * and go to `behaviour` all the same.
 */
export class TestUpstream implements AsyncDisposable {
  readonly #udp: dgram.Socket;
  readonly #tcp: net.Server;
  readonly #connections = new Set<net.Socket>();
  readonly asked: Asked[] = [];
  /** As they came. */
  readonly requests: Buffer[] = [];
  /** TCP connections that were made. */
  connections = 0;
  closesAfterAnswer = false;
  /** Where the last datagram came from. */
  lastPort = 0;
  #open = true;
  behaviour: Behaviour;

  private constructor(udp: dgram.Socket, tcp: net.Server, behaviour: Behaviour) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.behaviour = behaviour;
    udp.on('message', (request, { port, address }) => {
      this.lastPort = port;
      void this.#answer(request, 'udp').then((answers) => {
        if (this.#open) for (const answer of answers) udp.send(answer, port, address, () => {});
      });
    });
    tcp.on('connection', (socket) => {
      this.connections++;
      this.#connections.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#connections.delete(socket));
      let received: Buffer = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
          const length = received.readUInt16BE(0);
          const request = Buffer.from(received.subarray(2, 2 + length));
          received = received.subarray(2 + length);
          void this.#answer(request, 'tcp').then((answers) => {
            // In two pieces, as a network may bring it.
            for (const answer of answers) {
              socket.write(Buffer.of(answer.length >> 8, answer.length & 255, answer[0]!));
              socket.write(answer.subarray(1));
            }
            if (this.closesAfterAnswer) socket.end();
          });
        }
      });
    });
  }

  /** @param address 127.0.0.1 or ::1 */
  static async listen(behaviour: Behaviour, address = '127.0.0.1'): Promise<TestUpstream> {
    for (let attempt = 1; ; attempt++) {
      const tcp = net.createServer();
      tcp.listen(0, address);
      await once(tcp, 'listening');
      const udp = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
      udp.bind((tcp.address() as AddressInfo).port, address);
      try {
        await once(udp, 'listening');
        return new TestUpstream(udp, tcp, behaviour);
      } catch (error) {
        // A port that is free for TCP need not be so for UDP.
        tcp.close();
        udp.close();
        if (attempt === 20) throw error;
      }
    }
  }

  /** `127.0.0.1:PORT` or `[::1]:PORT` */
  get server(): string {
    const { address, port } = this.#udp.address();
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** What it was asked since the last call, as `name type transport`. */
  take(): string[] {
    this.requests.length = 0;
    return this.asked.splice(0).map(({ name, type, transport }) => `${name} ${type} ${transport}`);
  }

  closeConnections(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false;
    this.closeConnections();
    const closed = [once(this.#udp, 'close'), once(this.#tcp, 'close')];
    this.#udp.close();
    this.#tcp.close();
    await Promise.all(closed);
  }

  async #answer(request: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer[]> {
    const { name, type } = parseMessage(request);
    const asked = { name: formatName(name), type: typeName(type), transport };
    if (asked.type !== 'HINFO' && !(asked.name === '.' && asked.type === 'NS')) {
      this.asked.push(asked);
      this.requests.push(request);
    }
    const answer = await this.behaviour(request, asked);
    return answer === undefined ? [] : Array.isArray(answer) ? answer : [answer];
  }
}
