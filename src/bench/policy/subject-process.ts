import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NetNs } from '../../kernel/netns.ts';
import { processors, runOn } from '../../kernel/scheduling.ts';
import type { Question, Started } from './subject.ts';
import { nextMessage } from '../child.ts';

const program = fileURLToPath(new URL('./subject.js', import.meta.url));
const longestMs = 120_000;

/** podnet's planner and writer in a process of its own, in a node's namespace and on another processor than the caller's. */
export class Subject implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #log: string;

  /** @param objects a file with an object of the cluster in each line */
  constructor(ns: NetNs, objects: string, log: string) {
    this.#log = log;
    const fd = openSync(log, 'a');
    const mine = processors();
    const start = (): ChildProcess => fork(program, [objects], { detached: true, stdio: ['ignore', 'ignore', fd, 'ipc'] });
    try {
      if (mine.length > 1) runOn(mine.slice(1));
      this.#process = ns.enter(start as never) as ChildProcess;
    } finally {
      runOn(mine.slice(0, 1));
      closeSync(fd);
    }
  }

  started(): Promise<Started> {
    return this.answer() as Promise<Started>;
  }

  /** Does not wait: see `answer`. */
  ask(question: Question): void {
    this.#process.send(question);
  }

  answer(): Promise<unknown> {
    return nextMessage(this.#process, { who: "the planner's process", log: this.#log, longestMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}
