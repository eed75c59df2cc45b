import dgram from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { bindUdp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { question } from './message.ts';

const socketCount = 16;
/** An answer later than this is none. How long those took that came is told beside: on a machine that others want as well, seconds say nothing about who answers. */
const lateMs = 20_000;
const mostLateMs = 20;

export interface LoadCount {
  sent: number;
  answered: number;
  /** Not answered within twenty seconds. */
  lost: number;
  /** Port unreachable: the sign of a socket that was closed. */
  refused: number;
  /** Answered with something else than NOERROR. */
  wrong: number;
  /** The longest time to an answer. */
  slowestMs: number;
}

/** Questions for one name at a fixed rate, each with an id of its own, from sockets that hear of closed ports. */
export class Load implements AsyncDisposable {
  readonly #sockets: dgram.Socket[];
  readonly #template: Buffer;
  readonly #rate: number;
  /** By number of the question: when it was sent; 0 when it was answered. */
  #waiting = new Map<number, number>();
  #count = 0;
  #answered = 0;
  #refused = 0;
  #wrong = 0;
  #slowestMs = 0;
  #sending: Promise<void> | undefined;
  #ending = false;

  private constructor(sockets: dgram.Socket[], name: string, rate: number) {
    this.#sockets = sockets;
    this.#template = question(name, {});
    this.#rate = rate;
    for (const [i, socket] of sockets.entries()) {
      socket.on('message', (answer) => this.#hear(i, answer));
      socket.on('error', () => {
        this.#refused++;
      });
    }
  }

  static async start(address: string, port: number, name: string, rate: number): Promise<Load> {
    const { family } = IpAddr.parse(address);
    const sockets = Array.from({ length: socketCount }, () => dgram.createSocket(family === 'ipv4' ? 'udp4' : 'udp6'));
    for (const socket of sockets) {
      // Thousands of answers come at once when a server goes on after a pause.
      const fd = bindUdp(undefined, IpAddr.unspecified(family), 0, { receiveBufferBytes: 4 << 20 });
      // It may be told within the call.
      const listening = once(socket, 'listening');
      socket.bind({ fd, exclusive: true });
      await listening;
      const connected = once(socket, 'connect');
      socket.connect(port, address);
      await connected;
    }
    const load = new Load(sockets, name, rate);
    load.#sending = load.#send();
    return load;
  }

  /** What came of the questions since the last call. Waits for the answers to all of them, while more are asked. */
  async take(): Promise<LoadCount> {
    const upTo = this.#count;
    const until = performance.now() + lateMs;
    const due = (): number[] => [...this.#waiting.keys()].filter((number) => number < upTo);
    while (due().length > 0 && performance.now() < until) await sleep(10);
    const lost = due();
    for (const number of lost) this.#waiting.delete(number);
    const { answered, refused, wrong, slowestMs } = this.#totals();
    this.#answered = this.#refused = this.#wrong = this.#slowestMs = 0;
    return { sent: answered + lost.length, answered, lost: lost.length, refused, wrong, slowestMs: Math.round(slowestMs) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    await this.#sending;
    for (const socket of this.#sockets) socket.close();
  }

  #totals(): { answered: number; refused: number; wrong: number; slowestMs: number } {
    return { answered: this.#answered, refused: this.#refused, wrong: this.#wrong, slowestMs: this.#slowestMs };
  }

  async #send(): Promise<void> {
    for (let last = performance.now(); !this.#ending; await sleep(2)) {
      const now = performance.now();
      // What was not asked while this process was not given the processor is not made up for: a flood would prove something else.
      const due = Math.round((Math.min(now - last, mostLateMs) / 1000) * this.#rate);
      if (due === 0) continue;
      for (let i = 0; i < due; i++) this.#ask(this.#count++);
      last = now;
    }
  }

  /** The socket and the id together are the question's number, less what is above. */
  #ask(number: number): void {
    const message = Buffer.from(this.#template);
    message.writeUInt16BE(Math.floor(number / socketCount) & 0xffff, 0);
    this.#waiting.set(number, performance.now());
    this.#sockets[number % socketCount]!.send(message, () => {});
  }

  #hear(socket: number, answer: Buffer): void {
    const number = answer.readUInt16BE(0) * socketCount + socket;
    const asked = this.#waiting.get(number);
    if (asked === undefined) return;
    this.#waiting.delete(number);
    this.#answered++;
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - asked);
    if ((answer[3]! & 0xf) !== 0) this.#wrong++;
  }
}
