import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NetNs } from '../kernel/netns.ts';
import { labEnvironment } from './environment.ts';
import type { LabNames } from './names.ts';
import { forgetProcess, processOf, recordProcess } from './processes.ts';

export const podnetExecutable = fileURLToPath(new URL('../../bin/podnet', import.meta.url));

export interface ProcessSpec {
  /** Of the record and of the log, e.g. `node-1-agent`. */
  name: string;
  /** Arguments of `podnet`. */
  args: readonly string[];
  /** Path of the network namespace that it lives in. */
  netns: string;
}

/** Waits between restarts: the first comes at once, further ones ever later, until it has lived for a minute. */
const waits = [0, 200, 500, 1000, 2000, 5000];
const settledMs = 60_000;

/** Keeps the processes of a lab's nodes alive, each in its own network namespace, with a record and a log of its own. */
export class Supervisor {
  readonly #names: LabNames;
  readonly #log: (line: string) => void;
  readonly #children = new Map<string, ChildProcess>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #ending = false;

  constructor(names: LabNames, log: (line: string) => void) {
    this.#names = names;
    this.#log = log;
  }

  start(spec: ProcessSpec): void {
    this.#spawn(spec, 0);
  }

  /** Starts nothing any more and ends what runs: SIGTERM now, SIGKILL after the grace. */
  async end(graceMs: number): Promise<void> {
    this.#ending = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const children = [...this.#children.values()];
    for (const child of children) child.kill('SIGTERM');
    const kill = setTimeout(() => {
      for (const child of this.#children.values()) child.kill('SIGKILL');
    }, graceMs);
    await Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve))));
    clearTimeout(kill);
  }

  #spawn(spec: ProcessSpec, failures: number): void {
    const begin = performance.now();
    const child = this.#inNamespace(spec);
    this.#children.set(spec.name, child);
    const id = child.pid === undefined ? undefined : processOf(child.pid);
    if (id) recordProcess(this.#names.pidsDir, spec.name, id);
    let over = false;
    const ended = (why: string): void => {
      if (over) return;
      over = true;
      this.#children.delete(spec.name);
      if (this.#ending) return;
      forgetProcess(this.#names.pidsDir, spec.name);
      const count = performance.now() - begin > settledMs ? 0 : failures;
      const wait = waits[Math.min(count, waits.length - 1)]!;
      this.#log(`${spec.name} ended (${why}); starting it again ${wait ? `in ${wait} ms` : 'now'}; its log: ${this.#names.log(spec.name)}`);
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        if (!this.#ending) this.#spawn(spec, count + 1);
      }, wait);
      this.#timers.add(timer);
    };
    child.once('error', (error) => ended(error.message));
    child.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
  }

  #inNamespace(spec: ProcessSpec): ChildProcess {
    const file = this.#names.log(spec.name);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const log = openSync(file, 'a', 0o600);
    try {
      using ns = NetNs.open(spec.netns);
      // A child is born in the namespaces of the thread that starts it.
      let child: ChildProcess | undefined;
      ns.enter((): void => {
        child = spawn(process.execPath, [podnetExecutable, ...spec.args], {
          env: labEnvironment(this.#names.lab),
          stdio: ['ignore', log, log],
        });
      });
      return child!;
    } finally {
      closeSync(log);
    }
  }
}
