import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { processors, runOn } from '../../../kernel/scheduling.ts';
import type { NetNs } from '../../../kernel/netns.ts';
import { cpuUs, type Memory, memoryOf, treeOf } from '../processes.ts';
import type { Kind } from '../questions.ts';

/** Where servers run. */
export interface Place {
  ns: NetNs;
  /** Files of all of them; each has a folder of its own. */
  directory: string;
  /** The processor that the servers share. One of them is asked at a time. */
  processor: number;
}

export interface ServerOptions {
  id: string;
  /** As it is told to people, with its version. */
  title: string;
  port: number;
  /** What it can answer. */
  kinds: readonly Kind[];
  /** Answers can be right or wrong; those of an echo are neither. */
  judged?: boolean;
}

const endMs = 5000;

const niceValue = -15;

/**
 * Where others want the processors as well, this process and what it will start come first: 29 times the usual share. So does its session, as the kernel gives sessions shares before
 * processes (sched(7), autogroup).
 * @returns puts it back
 */
export function letFirst(pid: number): () => void {
  const usual = os.getPriority(pid);
  const group = `/proc/${pid}/autogroup`;
  os.setPriority(pid, niceValue);
  try {
    const before = /nice (-?\d+)/.exec(readFileSync(group, 'latin1'))?.[1] ?? '0';
    writeFileSync(group, String(niceValue));
    return () => {
      os.setPriority(pid, usual);
      writeFileSync(group, before);
    };
  } catch {
    // A kernel without autogroups.
    return () => os.setPriority(pid, usual);
  }
}

/** A server under test: a process with all that it has started. */
export class Server implements AsyncDisposable {
  readonly id: string;
  readonly title: string;
  readonly address = '127.0.0.1';
  readonly port: number;
  readonly kinds: readonly Kind[];
  readonly judged: boolean;
  readonly #process: ChildProcess;
  readonly #log: string;
  #pids: number[] = [];

  /** @param argv program and arguments; it is not to go into the background */
  constructor(place: Place, { id, title, port, kinds, judged = true }: ServerOptions, [program, ...args]: readonly [string, ...string[]], env: Record<string, string> = {}) {
    this.id = id;
    this.title = title;
    this.port = port;
    this.kinds = kinds;
    this.judged = judged;
    this.#log = `${place.directory}/${id}.log`;
    const log = openSync(this.#log, 'a');
    const before = processors();
    const environment = { PATH: process.env.PATH ?? '', ...env };
    // What is started has the processor and the namespace of the thread that starts it.
    runOn([place.processor]);
    try {
      const start = (): ChildProcess => spawn(program, args, { env: environment, stdio: ['ignore', log, log], detached: true });
      this.#process = place.ns.enter(start as never) as ChildProcess;
    } finally {
      runOn(before);
      closeSync(log);
    }
    // What went wrong is told by its end.
    this.#process.on('error', () => {});
    if (this.#process.pid !== undefined) letFirst(this.#process.pid);
  }

  get said(): string {
    return readFileSync(this.#log, 'utf8');
  }

  /** @throws Error with what it said, when it has ended */
  check(): void {
    const { exitCode, signalCode, pid } = this.#process;
    if (exitCode !== null || signalCode !== null || pid === undefined) throw new Error(`${this.title} ended with ${exitCode ?? signalCode}:\n${this.said}`);
  }

  /** Looks for its processes again; between two measurements, as it takes a while. */
  look(): void {
    this.#pids = treeOf(this.#process.pid!);
  }

  /** On a core until now, of all processes that `look` has found. */
  get cpuUs(): number {
    return cpuUs(this.#pids);
  }

  get memory(): (Memory & { command: string })[] {
    return this.#pids.map((pid) => ({ command: commandOf(pid), ...memoryOf(pid) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode, pid } = this.#process;
    if (exitCode !== null || signalCode !== null || pid === undefined) return;
    const gone = once(this.#process, 'exit');
    const pids = treeOf(pid);
    this.#process.kill('SIGTERM');
    const late = setTimeout(() => this.#process.kill('SIGKILL'), endMs);
    await gone;
    clearTimeout(late);
    // Children that did not follow it, if any.
    for (const one of pids) if (one !== pid && commandOf(one) !== '') kill(one);
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone in this moment.
  }
}
