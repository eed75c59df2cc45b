import { spawn } from 'node:child_process';
import net from 'node:net';
import { constants } from 'node:os';
import { Readable } from 'node:stream';
import { Pty } from '../../../kernel/pty.ts';
import { type ContainerProcess, type LogOptions, type StreamBackend, StreamError } from '../backend.ts';

/** A backend of plain child processes, and what it was asked for. */
export interface TestBackend extends StreamBackend {
  /** Started and not ended yet. */
  running: Set<number>;
  sizes: [columns: number, rows: number][];
  logOptions?: LogOptions;
}

function start(command: string[], running: Set<number>, sizes: [number, number][]): ContainerProcess {
  const child = spawn(command[0]!, command.slice(1), { stdio: 'pipe' });
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    resize: (columns, rows) => sizes.push([columns, rows]),
    exit: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        running.delete(pid!);
        resolve({ code: code ?? 128 + constants.signals[signal!], signal: signal ?? undefined });
      });
    }),
    kill: () => void child.kill('SIGKILL'),
  };
}

function startOnTerminal(command: string[], running: Set<number>): ContainerProcess {
  const pty = Pty.open();
  const child = spawn('setsid', ['--ctty', ...command], { stdio: [pty.slave, pty.slave, pty.slave] });
  pty.closeSlave();
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  pty.output.once('close', () => pty[Symbol.dispose]());
  return {
    stdin: pty.input,
    stdout: pty.output,
    resize: (columns, rows) => pty.resize(columns, rows),
    exit: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        running.delete(pid!);
        resolve({ code: code ?? 128 + constants.signals[signal!], signal: signal ?? undefined });
      });
    }),
    kill: () => pty[Symbol.dispose](),
  };
}

/** Container `web` exists; its log is the text given; `attach` is a process that echoes. */
export function processBackend(log = 'one\ntwo\n'): TestBackend {
  const running = new Set<number>();
  const sizes: [number, number][] = [];
  const check = (container: string): void => {
    if (container !== 'web') throw new StreamError(404, `container not found ("${container}")`);
  };
  const backend: TestBackend = {
    running,
    sizes,
    async logs({ container }, options) {
      check(container);
      backend.logOptions = options;
      if (options.previous) throw new StreamError(400, `previous terminated container "${container}" in pod "a" not found`);
      return Readable.from([Buffer.from(log)]);
    },
    async exec({ container }, command, tty) {
      check(container);
      return tty && command[0] === 'sh' ? startOnTerminal(command, running) : start(command, running, sizes);
    },
    async attach({ container }) {
      check(container);
      return start(['sh', '-c', 'echo attached; cat'], running, sizes);
    },
    portForward: (_ref, port) =>
      new Promise((resolve, reject) => {
        const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(socket));
        socket.once('error', reject);
      }),
  };
  return backend;
}
