import os from 'node:os';
import { onProcessEnd } from '../../kernel/process-end.ts';
import { type DnsConfig, parseConfig } from '../config.ts';
import { type DnsDependencies, type DnsServer, startDns } from '../index.ts';
import { AnswersKeeping } from './answers-keeping.ts';
import { Predecessor, serveHandover } from './handover.ts';
import { firstSocket, type FromWorker, type ToWorker } from './messages.ts';
import { NamesKeeping } from './names-keeping.ts';
import { answersFile, handoverSocket, namesFile } from './paths.ts';
import { restoreOwn } from './priority.ts';
import { handoverName, healthName, metricsName, tcpName, udpName } from './socket-names.ts';

/** Answers under way are waited for so long. */
const drainMs = 4500;
/** Whoever has the sockets hands them over sooner. */
const surelyGoneMs = 300;

const tell = (message: FromWorker): void => {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
};

type Begin = ToWorker & { type: 'begin' };

/** A process that answers on sockets which its parent has opened. Should the parent end, it goes on until another one comes. */
class Worker {
  readonly #dns: DnsServer;
  readonly #begin: Begin;
  readonly #names: NamesKeeping | undefined;
  readonly #answers: AnswersKeeping | undefined;
  #serving = false;
  #orphaned = false;
  #otherPid: number | undefined;
  #otherKnows = false;
  #handing: Disposable | undefined;
  #watching: Disposable | undefined;

  private constructor(
    dns: DnsServer,
    begin: Begin,
    { names, answers }: { names: NamesKeeping | undefined; answers: AnswersKeeping | undefined },
  ) {
    this.#dns = dns;
    this.#begin = begin;
    this.#names = names;
    this.#answers = answers;
  }

  static async start(begin: Begin): Promise<Worker> {
    const { config } = begin;
    let worker: Worker | undefined;
    const dns = await startDns(config, {
      sockets: socketsOf(config, inherited(begin)),
      stopped: true,
      describe: () => worker?.describe() ?? {},
    });
    const names = config.runDir === undefined ? undefined : new NamesKeeping(namesFile(config.runDir), dns);
    names?.begin();
    const answers =
      config.runDir === undefined || !dns.forwarder ? undefined : new AnswersKeeping(answersFile(config.runDir), dns.forwarder);
    void dns.ready.then(() => answers?.begin());
    worker = new Worker(dns, begin, { names, answers });
    void dns.ready.then(() => tell({ type: 'known' }));
    return worker;
  }

  describe(): object {
    const parent = this.#orphaned ? {} : { parent: process.ppid };
    const other = this.#otherPid === undefined ? {} : { standby: this.#otherPid, standbyKnows: this.#otherKnows };
    return { process: { pid: process.pid, ...parent, ...other, names: this.#names?.source ?? 'API server' } };
  }

  hear(message: ToWorker): void {
    if (message.type === 'ping') tell({ type: 'pong' });
    else if (message.type === 'serve') this.#serve();
    else if (message.type === 'pause') this.#pause();
    else if (message.type === 'retire') void this.retire();
    else if (message.type === 'other') {
      this.#otherPid = message.pid;
      this.#otherKnows = message.known === true;
      this.#names?.setAlone(message.pid === undefined);
    }
  }

  /** The parent is gone. Whoever answers goes on, and hands the sockets over when another parent comes; the other one waits for its end. */
  orphan(): void {
    this.#orphaned = true;
    restoreOwn(usualPriority);
    if (this.#serving) this.#offer();
    else if (this.#otherPid === undefined) void this.#succeed();
    else
      this.#watching = onProcessEnd(this.#otherPid, () => {
        this.#otherPid = undefined;
        void this.#succeed();
      });
  }

  /** Nobody answers any more, as far as this one knows. Should somebody hand sockets over nevertheless, it does, and this one is of no use. */
  async #succeed(): Promise<void> {
    const { runDir } = this.#begin.config;
    const other =
      runDir === undefined ? undefined : await Predecessor.at(handoverSocket(runDir), surelyGoneMs).catch(() => undefined);
    if (other === undefined) {
      this.#serve();
      return;
    }
    other[Symbol.dispose]();
    process.exit(0);
  }

  /** Finishes what is under way, and ends. */
  async retire(): Promise<void> {
    this.#watching?.[Symbol.dispose]();
    this.#handing?.[Symbol.dispose]();
    this.#dns.stop();
    const late = new Promise((resolve) => setTimeout(resolve, drainMs));
    await Promise.race([this.#dns.drained(), late]);
    process.exit(0);
  }

  #serve(): void {
    this.#serving = true;
    process.title = 'podnet dns: answering';
    this.#dns.start();
    this.#names?.setServing(true);
    this.#answers?.setServing(true);
    tell({ type: 'serving' });
    if (this.#orphaned) this.#offer();
  }

  #pause(): void {
    this.#serving = false;
    process.title = 'podnet dns: standby';
    this.#dns.stop();
    this.#names?.setServing(false);
    this.#answers?.setServing(false);
  }

  #offer(): void {
    const sockets = inherited(this.#begin);
    const handover = sockets.get(handoverName);
    if (handover === undefined) return;
    this.#handing = serveHandover(handover, {
      sockets,
      onRetire: () => {
        // Before this one's end makes it go on in its place.
        if (this.#otherPid !== undefined) endProcess(this.#otherPid);
        void this.retire();
      },
    });
  }
}

const inherited = ({ sockets }: Begin): Map<string, number> => new Map(sockets.map((name, i) => [name, firstSocket + i]));

function socketsOf(config: DnsConfig, sockets: ReadonlyMap<string, number>): DnsDependencies['sockets'] {
  const parsed = parseConfig(config);
  const { listen, port, healthSocket } = parsed;
  const metrics = metricsName(parsed);
  return {
    addresses: listen.map((ip) => ({ udp: sockets.get(udpName(`${ip}`, port))!, tcp: sockets.get(tcpName(`${ip}`, port))! })),
    ...(healthSocket === undefined ? {} : { health: sockets.get(healthName(healthSocket)) }),
    ...(metrics === undefined ? {} : { metrics: sockets.get(metrics) }),
  };
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It has ended before.
  }
}

process.title = 'podnet dns: standby';
const usualPriority = os.getPriority();
// A terminal sends it to all; the parent decides.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
let worker: Promise<Worker> | undefined;
process.on('message', (message: ToWorker) => {
  if (message.type !== 'begin') {
    void worker?.then((it) => it.hear(message));
    return;
  }
  worker = Worker.start(message);
  worker.then(
    () => tell({ type: 'up' }),
    (error: Error) => {
      process.send?.({ type: 'failed', message: error.message } satisfies FromWorker, undefined, undefined, () =>
        process.exit(1),
      );
    },
  );
});
process.on('disconnect', () => {
  // Without a parent that has told it what to do there is nothing to go on with.
  if (!worker) process.exit(0);
  worker.then(
    (it) => it.orphan(),
    () => process.exit(1),
  );
});
process.on('SIGTERM', () => {
  if (!worker) process.exit(0);
  worker.then(
    (it) => it.retire(),
    () => process.exit(1),
  );
});
