import { KernelError } from '../kernel/errors.ts';
import type { NetNs } from '../kernel/netns.ts';
import { patience } from '../kernel/patience.ts';
import { type PathError, ProbeSocket } from '../kernel/probes.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Answer } from './station.ts';

export interface EchoFailure {
  failed: string;
  /** The MTU that was told with EMSGSIZE, and by whom: `local` is the own kernel. */
  mtu?: number;
  origin?: PathError['origin'];
}

interface Waiting {
  destination: IpAddr;
  bytes: number;
  sender: Echoes;
  arrived?: IpAddr;
  resolve(answer: Answer | EchoFailure): void;
}

/**
 * Every echo request in flight of this process, by sequence number: NAT may give a request another identifier on its way, never another sequence. They
 * begin anywhere, since other people's pings begin at 0 or 1.
 */
const inFlight = new Map<number, Waiting>();
let nextSequence = Math.floor(Math.random() * 0x10000);
const identifiers = new Set<number>();

/** Bytes of the IP and the ICMP header. */
const echoHeaders = { ipv4: 28, ipv6: 48 } as const;

/**
 * Echo requests from one address, with DF set. A raw socket also hears the requests that its own kernel answers, so that the one of the target tells the
 * source address that it sees.
 */
export class Echoes implements Disposable {
  readonly address: IpAddr;
  readonly #socket: ProbeSocket;
  #closed = false;

  constructor(ns: NetNs, address: IpAddr) {
    this.address = address;
    this.#socket = uniqueSocket(ns, address);
    void this.#listen();
  }

  /** @param bytes of the whole IP packet */
  async ask(to: Echoes, bytes: number, timeoutMs: number): Promise<Answer | EchoFailure> {
    const { family } = this.address;
    const sequence = nextSequence++ & 0xffff;
    return new Promise((resolve) => {
      const finish = (answer: Answer | EchoFailure): void => {
        stop();
        inFlight.delete(sequence);
        resolve(answer);
      };
      const waiting: Waiting = { destination: to.address, bytes, sender: this, resolve: finish };
      const late = (): void => {
        this.#drain();
        to.#drain();
        const stage = waiting.arrived ? `the request arrived (from ${waiting.arrived}), its answer was lost` : 'it never arrived';
        finish({ failed: `timed out after ${timeoutMs} ms: ${stage}` });
      };
      const stop = patience(timeoutMs, late);
      inFlight.set(sequence, waiting);
      try {
        this.#socket.echo(to.address, sequence, bytes - echoHeaders[family]);
      } catch (error) {
        this.#errors();
        finish({ failed: `cannot be sent: ${error instanceof KernelError ? error.errno : String(error)}` });
      }
      waiting.resolve = (answer) => {
        // The target has heard the request before it was answered, but this process may not have read it.
        to.#drain();
        finish('seen' in answer ? (waiting.arrived ? { seen: waiting.arrived } : answer) : answer);
      };
    });
  }

  async #listen(): Promise<void> {
    // A short wait: closing the socket wakes nobody.
    while (!this.#closed) {
      const some = await this.#socket.ready(200);
      if (this.#closed) break;
      if (some) this.#drain();
    }
  }

  #drain(): void {
    if (this.#closed) return;
    this.#errors();
    for (let got = this.#socket.receive(); got; got = this.#socket.receive()) {
      const ipv4 = this.address.family === 'ipv4';
      const icmp = ipv4 ? got.data.subarray((got.data[0]! & 0x0f) * 4) : got.data;
      if (icmp.length < 8) continue;
      const waiting = inFlight.get(icmp.readUInt16BE(6));
      if (icmp[0] === (ipv4 ? 8 : 128)) {
        if (waiting?.destination.equals(this.address)) waiting.arrived = got.address;
        // The way back undoes NAT: the own identifier, or it answers somebody else's ping.
      } else if (icmp[0] === (ipv4 ? 0 : 129) && waiting?.sender === this && icmp.readUInt16BE(4) === this.#socket.identifier) {
        const right = got.address.equals(waiting.destination);
        waiting.resolve(right ? { seen: this.address } : { failed: `answered from ${got.address}` });
      }
    }
  }

  #errors(): void {
    for (let error = this.#socket.receiveError(); error; error = this.#socket.receiveError()) {
      const { errno, mtu, origin, offender, destination } = error;
      const by = origin === 'local' ? 'this kernel' : `${offender ?? 'a router'}`;
      const failed = `${errno}${mtu === undefined ? '' : `: the MTU is ${mtu}`}, said by ${by}`;
      for (const waiting of [...inFlight.values()]) {
        const same = waiting.sender === this && destination?.address.equals(waiting.destination);
        if (same && (mtu === undefined || waiting.bytes > mtu)) waiting.resolve({ failed, mtu, origin });
      }
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    identifiers.delete(this.#socket.identifier);
    this.#socket[Symbol.dispose]();
  }
}

function uniqueSocket(ns: NetNs, source: IpAddr): ProbeSocket {
  for (;;) {
    const socket = ProbeSocket.icmp(ns, source.family, { source, dontFragment: true });
    if (!identifiers.has(socket.identifier)) {
      identifiers.add(socket.identifier);
      return socket;
    }
    socket[Symbol.dispose]();
  }
}
