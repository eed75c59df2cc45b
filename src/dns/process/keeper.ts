import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KernelError } from '../../kernel/errors.ts';
import { type DnsConfig, type ParsedConfig, parseConfig } from '../config.ts';
import { Predecessor, serveHandover } from './handover.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { ParentSockets } from './parent-sockets.ts';
import { handoverSocket } from './paths.ts';
import { Priority } from './priority.ts';
import { Roles } from './roles.ts';
import { handoverName } from './socket-names.ts';

/** The first worker has told why it cannot begin: with its configuration, or on this machine. */
export class FirstWorkerError extends Error {
  override readonly name = 'FirstWorkerError';
}

const workerProgram = fileURLToPath(new URL('./worker.js', import.meta.url));
/** Objects that are parsed and thrown away need little room: with V8's own 16 MiB, 100,000 endpoints take a quarter more memory. */
const workerFlags = ['--max-semi-space-size=2'];

const pingMs = 200;
/** So long answers under way are waited for. */
const drainMs = 5000;
/** A worker that is told to end at once has nothing to wait for. */
const endMs = 1000;

export interface Keeper {
  /** Fulfilled when another parent has taken the sockets over, and all answers are given. */
  readonly ended: Promise<void>;
  /** Ends the workers and closes the sockets. */
  close(): Promise<void>;
  /** Ends this parent alone: the workers go on until another parent comes. */
  leave(): void;
}

/**
 * The parent: holds the sockets and has workers answer on them, so that none of them is closed when a worker ends. Holds nothing else and does little, so that
 * there is little to fail.
 * @throws SyntaxError on a wrong configuration, KernelError when an address or port cannot be had; Error with what the first worker failed with
 */
export async function startKeeper(config: DnsConfig): Promise<Keeper> {
  const parsed = parseConfig(config);
  const predecessor = parsed.runDir === undefined ? undefined : await predecessorAt(parsed.runDir);
  const sockets = await ParentSockets.open(parsed, predecessor);
  const family = new Family(config, parsed, sockets, predecessor);
  try {
    await family.begin();
    return family;
  } catch (error) {
    await family.close();
    throw error;
  }
}

async function predecessorAt(runDir: string): Promise<Predecessor | undefined> {
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  for (let tries = 0; ; tries++) {
    try {
      return await Predecessor.at(handoverSocket(runDir));
    } catch (error) {
      // The one that had accepted ended; another process has the socket as well, or nobody has it any more.
      if (!(error instanceof KernelError && error.errno === 'ECONNRESET') || tries === 10) throw error;
    }
  }
}

/** The parent with its workers. */
class Family implements Keeper {
  readonly ended: Promise<void>;
  #markEnded!: () => void;
  readonly #config: DnsConfig;
  readonly #sockets: ParentSockets;
  #predecessor: Predecessor | undefined;
  readonly #roles: Roles;
  readonly #priority = new Priority();
  readonly #workers = new Map<number, ChildProcess>();
  /** Those that can serve. */
  readonly #up = new Set<number>();
  readonly #known = new Set<number>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #handing: Disposable | undefined;
  #ending = false;
  /** Of the first worker. */
  #onFirst: ((failure?: Error) => void) | undefined;

  constructor(
    config: DnsConfig,
    { standby, standbyAfterMs }: ParsedConfig,
    sockets: ParentSockets,
    predecessor: Predecessor | undefined,
  ) {
    this.#config = config;
    this.#sockets = sockets;
    this.#predecessor = predecessor;
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    this.#roles = new Roles(
      { standby, standbyAfterMs, patient: predecessor !== undefined, pingMs },
      {
        spawn: () => this.#spawn(),
        serve: (worker) => {
          this.#withPid(worker, (pid) => this.#priority.restore(pid));
          this.#tell(worker, { type: 'serve' });
        },
        pause: (worker) => {
          this.#tell(worker, { type: 'pause' });
          this.#withPid(worker, (pid) => this.#priority.lower(pid));
        },
        ping: (worker) => this.#tell(worker, { type: 'ping' }),
        kill: (worker, why) => this.#kill(worker, why),
      },
    );
    void predecessor?.gone.then(() => {
      this.#forgetPredecessor();
      if (!this.#ending) this.#roles.alone(performance.now());
    });
  }

  /** @throws Error with what the first worker failed with */
  async begin(): Promise<void> {
    const first = new Promise<void>((resolve, reject) => {
      this.#onFirst = (failure) => (failure ? reject(failure) : resolve());
    });
    this.#spawn();
    const handover = this.#sockets.all.get(handoverName);
    if (handover !== undefined)
      this.#handing = serveHandover(handover, { sockets: this.#sockets.all, onRetire: () => void this.#retire() });
    await first;
    this.#onFirst = undefined;
    // In a turn of its own, behind the answers that came while this process was not given the processor.
    this.#timer = setInterval(() => setImmediate(() => this.#ending || this.#roles.tick(performance.now())), pingMs);
  }

  async close(): Promise<void> {
    // One that answers still goes on with them.
    const files = !this.#ending && this.#predecessor === undefined;
    this.#ending = true;
    this.#stop();
    await this.#endWorkers('SIGTERM', endMs);
    this.#sockets.close({ files });
    this.#markEnded();
  }

  leave(): void {
    this.#ending = true;
    this.#stop();
    for (const child of this.#workers.values()) child.disconnect();
    this.#sockets.close();
    this.#markEnded();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#handing?.[Symbol.dispose]();
    this.#forgetPredecessor();
  }

  #forgetPredecessor(): void {
    this.#predecessor?.[Symbol.dispose]();
    this.#predecessor = undefined;
  }

  /** Another parent answers from now on. */
  async #retire(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    this.#stop();
    for (const worker of this.#workers.keys()) this.#tell(worker, { type: 'retire' });
    this.#sockets.close();
    await this.#endWorkers(undefined, drainMs);
    this.#markEnded();
  }

  async #endWorkers(signal: NodeJS.Signals | undefined, graceMs: number): Promise<void> {
    const children = [...this.#workers.values()];
    if (signal) for (const child of children) child.kill(signal);
    const kill = setTimeout(() => {
      for (const child of children) child.kill('SIGKILL');
    }, graceMs);
    await Promise.all(
      children.map(
        (child) => child.exitCode === null && child.signalCode === null && new Promise((resolve) => child.once('exit', resolve)),
      ),
    );
    clearTimeout(kill);
  }

  #spawn(): void {
    const id = ++this.#count;
    const child = spawn(process.execPath, [...workerFlags, workerProgram], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...this.#sockets.all.values()],
    });
    this.#workers.set(id, child);
    this.#roles.started(id, performance.now());
    let why = '';
    let over = false;
    const gone = (how: string): void => {
      if (over) return;
      over = true;
      this.#workers.delete(id);
      this.#up.delete(id);
      this.#known.delete(id);
      if (this.#ending) return;
      const failure = why || `a worker ended (${how})`;
      if (this.#onFirst) this.#onFirst(new FirstWorkerError(failure));
      else console.error(`dns: ${failure}`);
      this.#introduce();
      if (!this.#onFirst) this.#roles.gone(id, performance.now());
    };
    child.once('error', (error) => gone(error.message));
    child.once('exit', (code, signal) => gone(signal ?? `exit code ${code}`));
    child.on('message', (message: FromWorker) => {
      if (message.type === 'failed') why = message.message;
      else if (!over) this.#heard(id, message);
    });
    this.#tell(id, { type: 'begin', config: this.#config, sockets: [...this.#sockets.all.keys()] });
  }

  #heard(id: number, { type }: FromWorker): void {
    const now = performance.now();
    if (this.#ending) return;
    if (type === 'up') {
      this.#up.add(id);
      this.#roles.up(id, now);
      // Starting is short; following the cluster is not.
      if (this.#roles.serving !== id) this.#withPid(id, (pid) => this.#priority.lower(pid));
      this.#introduce();
      this.#onFirst?.();
    } else if (type === 'known') {
      this.#known.add(id);
      this.#introduce();
      this.#roles.known(id, now);
    } else if (type === 'pong') this.#roles.answered(id, now);
    else if (type === 'serving') {
      try {
        this.#predecessor?.retire();
      } catch {
        // It ended in this moment.
      }
      this.#forgetPredecessor();
    }
  }

  /** Each worker is told of the other. */
  #introduce(): void {
    const ids = [...this.#up];
    for (const id of ids) {
      const other = ids.find((one) => one !== id);
      const pid = other === undefined ? undefined : this.#workers.get(other)?.pid;
      this.#tell(id, { type: 'other', ...(pid === undefined ? {} : { pid, known: this.#known.has(other!) }) });
    }
  }

  #withPid(worker: number, what: (pid: number) => void): void {
    const pid = this.#workers.get(worker)?.pid;
    if (pid !== undefined) what(pid);
  }

  #tell(worker: number, message: ToWorker): void {
    const child = this.#workers.get(worker);
    // That it is gone is told by its end.
    if (child?.connected) child.send(message, () => {});
  }

  #kill(worker: number, why: string): void {
    console.error(`dns: worker ${this.#workers.get(worker)?.pid} is killed: ${why}`);
    this.#workers.get(worker)?.kill('SIGKILL');
  }
}
