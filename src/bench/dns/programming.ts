import dgram from 'node:dgram';
import { once } from 'node:events';
import { question } from '../../dns/testkit/message.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { bindUdp } from '../../kernel/sockets.ts';
import { EndpointSlices } from '../../kube/resources.ts';
import { IpAddr } from '../../net/ip.ts';
import { tell } from '../progress.ts';
import { nameOf, sliceOf } from '../objects.ts';
import { percentile } from '../stats.ts';
import { isHeadless, serviceName, services as allServices } from './cluster.ts';
import type { ProgrammingResult } from './programming-load.ts';
import type { Stage } from './stage.ts';

export interface ProgrammingOptions {
  stage: Stage;
  /** How many there are. */
  services: number;
  events?: number;
  /** Asked for meanwhile. */
  perSecond?: number;
  signal: AbortSignal;
}

/** Half of what one processor answers is asked for at least this long, so that changes fall into it. */
const burstSeconds = 2;
const giveUpMs = 10_000;
const few = 20;

/**
 * How long it takes from a change of an EndpointSlice, as the API server begins to write it to its watches, until a question gets the new answer, while other questions come at
 * a fixed rate. What changes is the name of one endpoint of a headless Service: all other answers stay as they are judged.
 * @returns undefined without podnet among the servers
 */
export async function measureProgramming({ stage, services, events = 300, perSecond = 50_000, signal }: ProgrammingOptions): Promise<ProgrammingResult | undefined> {
  const server = stage.servers.find(({ id }) => id === 'podnet');
  const api = stage.api?.api;
  if (!server || !api) return undefined;
  const headless = [...allServices(services)].filter(({ service }) => isHeadless(service)).slice(0, few);
  const asker = await Asker.open(stage.place.ns, server.address, server.port);
  const times: number[] = [];
  const change = async (event: number): Promise<void> => {
    const { service, addresses } = headless[event % headless.length]!;
    const hostname = `changed-${event}`;
    const slice = sliceOf(service, 0, addresses, 1000 + event);
    slice.endpoints = slice.endpoints?.map((endpoint, i) => (i === 0 ? { ...endpoint, hostname } : endpoint));
    const line = JSON.stringify(slice);
    // Asked for without pause from before the change on: what is measured ends with the first new answer.
    const there = asker.untilThere(`${hostname}.${serviceName(service)}`);
    const began = performance.now();
    api.emit(EndpointSlices, 'MODIFIED', line);
    times.push((await there) - began);
  };
  let [asked, answered, lost, wrong, seconds] = [0, 0, 0, 0, 0];
  try {
    for (let event = 0; event < few; event++) await change(event);
    times.length = 0;
    for (let event = few; times.length < events; ) {
      signal.throwIfAborted();
      server.check();
      let over = false;
      const load = { mode: 'open', perSecond, seconds: burstSeconds } as const;
      const burst = stage.loader.ask({ address: server.address, port: server.port, kind: 'mix', judged: true, load }).finally(() => (over = true));
      while (!over && times.length < events) await change(event++);
      const outcome = await burst;
      asked += outcome.asked;
      answered += outcome.answered;
      lost += outcome.lost;
      wrong += outcome.wrong;
      seconds += outcome.seconds;
    }
  } finally {
    asker.close();
  }
  const result = { events, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), perSecond: Math.round(asked / seconds), lost, wrong };
  tell(`${events} changes of ${nameOf(headless[0]!.service)} and others: p50 ${result.p50Ms.toFixed(1)} ms, p99 ${result.p99Ms.toFixed(1)} ms; meanwhile ${answered} answers, ${lost} lost`);
  return result;
}

/** Asks for a name again and again until it is there. */
class Asker {
  readonly #socket: dgram.Socket;

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
  }

  static async open(ns: NetNs, address: string, port: number): Promise<Asker> {
    const ip = IpAddr.parse(address);
    const socket = dgram.createSocket(ip.family === 'ipv4' ? 'udp4' : 'udp6');
    // With a descriptor it tells of itself at once.
    const listening = once(socket, 'listening');
    socket.bind({ fd: bindUdp(ns, IpAddr.unspecified(ip.family), 0), exclusive: true });
    await listening;
    socket.connect(port, address);
    await once(socket, 'connect');
    return new Asker(socket);
  }

  /** @returns when the answer was there, by performance.now. @throws after ten seconds */
  untilThere(name: string): Promise<number> {
    const message = question(name, {});
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const ask = (): void => socket.send(message);
      const end = (): void => {
        clearTimeout(giveUp);
        clearInterval(again);
        socket.off('message', hear);
      };
      let heard = true;
      const hear = (answer: Buffer): void => {
        // A late answer to what was asked for before.
        if (!answer.subarray(12, message.length).equals(message.subarray(12))) return;
        heard = true;
        if ((answer[3]! & 15) !== 0) return ask();
        const now = performance.now();
        end();
        resolve(now);
      };
      // A datagram may get lost under load.
      const again = setInterval(() => {
        if (!heard) ask();
        heard = false;
      }, 20);
      const giveUp = setTimeout(() => {
        end();
        reject(new Error(`${name} was not there after ${giveUpMs / 1000} s`));
      }, giveUpMs);
      socket.on('message', hear);
      ask();
    });
  }

  close(): void {
    this.#socket.close();
  }
}
