import dgram from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { formatName } from '../wire/names.ts';
import { parseMessage } from '../wire/message.ts';
import { typeName } from '../wire/constants.ts';

/** What a resolver was asked, and over what. */
export interface Asked {
  name: string;
  type: string;
  transport: 'udp' | 'tcp';
}

/** Gives the answer's bytes; undefined: never answers. */
export type Behaviour = (request: Buffer, asked: Asked) => Buffer | undefined;

/** A resolver on 127.0.0.1, over UDP and TCP on one port, that does what the test says. Probes for loops (HINFO) are not counted. */
export class TestUpstream implements AsyncDisposable {
  readonly #udp: dgram.Socket;
  readonly #tcp: net.Server;
  readonly #connections = new Set<net.Socket>();
  readonly asked: Asked[] = [];
  behaviour: Behaviour;

  private constructor(udp: dgram.Socket, tcp: net.Server, behaviour: Behaviour) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.behaviour = behaviour;
    udp.on('message', (request, { port, address }) => {
      const answer = this.#answer(request, 'udp');
      if (answer) udp.send(answer, port, address, () => {});
    });
    tcp.on('connection', (socket) => {
      this.#connections.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#connections.delete(socket));
      socket.once('data', (request) => {
        const answer = this.#answer(request.subarray(2), 'tcp');
        // In two pieces, as a network may bring it.
        if (!answer) return;
        socket.write(Buffer.of(answer.length >> 8, answer.length & 255, answer[0]!));
        setImmediate(() => socket.end(answer.subarray(1)));
      });
    });
  }

  static async listen(behaviour: Behaviour): Promise<TestUpstream> {
    const tcp = net.createServer();
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const udp = dgram.createSocket('udp4');
    udp.bind((tcp.address() as AddressInfo).port, '127.0.0.1');
    await once(udp, 'listening');
    return new TestUpstream(udp, tcp, behaviour);
  }

  /** `127.0.0.1:PORT` */
  get server(): string {
    return `127.0.0.1:${this.#udp.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    const closed = [once(this.#udp, 'close'), once(this.#tcp, 'close')];
    this.#udp.close();
    this.#tcp.close();
    await Promise.all(closed);
  }

  #answer(request: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined {
    const { name, type } = parseMessage(request);
    const asked = { name: formatName(name), type: typeName(type), transport };
    if (asked.type !== 'HINFO') this.asked.push(asked);
    return this.behaviour(request, asked);
  }
}
