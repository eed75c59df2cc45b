import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { question, read } from '../../dns/testkit/message.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';

const types = ['A', 'AAAA'] as const;

/** A resolver as glibc is one: asks for both families from one port, one question behind the other, without waiting for the first answer. */
export class Asker implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #server: string;
  readonly #name: string;
  readonly #waiting = new Set<number>();
  #count = 0;
  /** How often each address was the answer, e.g. `10.96.1.1`; else the response code. */
  readonly heard = new Map<string, number>();

  private constructor(socket: Socket, server: string, name: string) {
    this.#socket = socket;
    this.#server = server;
    this.#name = name;
    socket.on('message', (bytes) => {
      const { id, rcode, answers } = read(bytes);
      if (!this.#waiting.delete(id)) return;
      const what = answers[0]?.split(' ').at(-1) ?? rcode;
      this.heard.set(what, (this.heard.get(what) ?? 0) + 1);
    });
  }

  static async open(ns: NetNs, server: string, name: string): Promise<Asker> {
    const { family } = IpAddr.parse(server);
    const fd = bindUdp(ns, IpAddr.unspecified(family), 0, { receiveBufferBytes: 1 << 20 });
    const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    await new Promise<void>((resolve) => socket.bind({ fd }, resolve));
    return new Asker(socket, server, name);
  }

  ask(): void {
    for (const type of types) {
      const id = this.#count++ & 0xffff;
      this.#waiting.add(id);
      this.#socket.send(question(this.#name, { id, type }), 53, this.#server);
    }
  }

  get asked(): number {
    return this.#count;
  }

  /** Waits for what is still to come. @returns how many questions have no answer */
  async lost(withinMs = 3000): Promise<number> {
    // Counted in turns, in which answers are heard: a busy machine may give this process none for long.
    for (let left = withinMs / 5; this.#waiting.size > 0 && left > 0; left--) await sleep(5);
    return this.#waiting.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }
}
