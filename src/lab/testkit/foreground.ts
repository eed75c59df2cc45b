import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const project = join(import.meta.dirname, '..', '..', '..');

/** A command in front, in a process group of its own as a shell gives it on a terminal. */
export class Foreground implements Disposable {
  readonly child: ChildProcess;
  output = '';
  readonly #exited: Promise<unknown>;

  constructor(command: string, ...args: string[]) {
    this.child = spawn(command, args, { cwd: project, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding('utf8').on('data', (part: string) => {
        this.output += part;
      });
    this.#exited = once(this.child, 'exit');
  }

  /** Fulfilled when it has printed this. */
  async prints(wanted: RegExp, withinMs = 90_000): Promise<void> {
    for (
      const end = performance.now() + withinMs;
      !wanted.test(this.output);
      await new Promise((resolve) => setTimeout(resolve, 5))
    ) {
      if (this.child.exitCode !== null || performance.now() > end) throw new Error(`never printed ${wanted}:\n${this.output}`);
    }
  }

  /** A signal to the whole group, as the terminal sends it on Ctrl-C. */
  signal(name: NodeJS.Signals): void {
    process.kill(-this.child.pid!, name);
  }

  /** Nobody reads what it prints any more: the terminal is gone, or `| head` has enough. */
  closeOutput(): void {
    this.child.stdout!.destroy();
    this.child.stderr!.destroy();
  }

  /** @returns its exit code, or the signal that ended it */
  async ended(): Promise<number | NodeJS.Signals | null> {
    await this.#exited;
    return this.child.exitCode ?? this.child.signalCode;
  }

  [Symbol.dispose](): void {
    try {
      this.signal('SIGKILL');
    } catch {
      // It has ended.
    }
  }
}
