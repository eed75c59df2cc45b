import { errnoName } from '../../../kernel/errors.ts';
import { msgDontwait } from '../../../kernel/socket-options.ts';
import { errno, nativeBuffer, sys } from '../../../kernel/sys.ts';
import { type Probe, Prober } from './probes.ts';

/** What became of one end of a connection when it was used. */
export type Use = 'heard' | 'reset' | 'silence';

interface Connection {
  probe: Probe;
  client: number;
  server: number;
}

const msgNosignal = 0x4000;
const byte = Buffer.from('!');

/** TCP connections that stand while policies change. */
export class Standing implements Disposable {
  readonly #prober: Prober;
  #connections: readonly Connection[];
  readonly #buffer = nativeBuffer(64);

  private constructor(prober: Prober, connections: readonly Connection[]) {
    this.#prober = prober;
    this.#connections = connections;
  }

  /** @param probes of TCP, to ports that are listened on. Those that are not answered are left out. */
  static async open(prober: Prober, probes: readonly Probe[]): Promise<Standing> {
    const begun = probes.map((probe) => ({ probe, ...prober.connect(probe) }));
    // The handshake's third packet is behind the second, that one behind the first.
    for (let round = 0; round < 2; round++) await prober.settle();
    const servers = new Map([...prober.accepted()].map(({ fd, port }) => [port, fd]));
    const connections: Connection[] = [];
    for (const { probe, fd: client, port } of begun) {
      const server = servers.get(port);
      if (server === undefined) sys.close(client);
      else connections.push({ probe, client, server });
    }
    return new Standing(prober, connections);
  }

  get probes(): readonly Probe[] {
    return this.#connections.map(({ probe }) => probe);
  }

  /** Each client, and after that each server, says something. A connection of which an end was reset is not used again. */
  async use(): Promise<{ probe: Probe; client: Use; server: Use }[]> {
    for (const { client } of this.#connections) sys.send(client, byte, 1, msgNosignal);
    await this.#prober.settle();
    await this.#prober.settle();
    const clients = this.#connections.map(({ client, server }) => this.#used(client, server));
    for (const { server } of this.#connections) sys.send(server, byte, 1, msgNosignal);
    await this.#prober.settle();
    await this.#prober.settle();
    const uses = this.#connections.map(({ probe, client, server }, i) => ({ probe, client: clients[i]!, server: this.#used(server, client) }));
    this.#keep((i) => uses[i]!.client === 'heard' && uses[i]!.server === 'heard');
    return uses;
  }

  /** @returns whether the other end heard of it, or this one was reset */
  #used(from: number, to: number): Use {
    if (sys.recv(to, this.#buffer, this.#buffer.length, msgDontwait) > 0) return 'heard';
    const got = sys.recv(from, this.#buffer, this.#buffer.length, msgDontwait);
    return got < 0 && errnoName(errno()) === 'ECONNRESET' ? 'reset' : 'silence';
  }

  #keep(isKept: (index: number) => boolean): void {
    this.#connections = this.#connections.filter(({ client, server }, i) => {
      if (isKept(i)) return true;
      sys.close(client);
      sys.close(server);
      return false;
    });
  }

  [Symbol.dispose](): void {
    this.#keep(() => false);
  }
}
