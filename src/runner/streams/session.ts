import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { ContainerProcess } from './backend.ts';
import { type CommandStatus, exitStatus, internalStatus } from './status.ts';

/** Which streams a client asked for. With a tty there is no stderr. */
export interface StreamSet {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

/** The client's side of exec and attach, whatever carries it. */
export interface Session {
  stdin?: Readable;
  stdout?: Writable;
  stderr?: Writable;
  /** Called with each size of the client's terminal, in character cells. */
  onResize?: (listener: (columns: number, rows: number) => void) => void;
  /** Sends how it ended and closes, after all output is on its way. */
  finish(status: CommandStatus): Promise<void>;
  /** Resolved when the client has gone. */
  closed: Promise<void>;
}

/** Copies until the source has ended or the target does not take any more. Never rejects. */
function copy(source: Readable | undefined, target: Writable | undefined): Promise<void> {
  if (!source) {
    target?.end();
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    source.once('end', resolve).once('close', resolve);
    if (!target) {
      source.resume();
      return;
    }
    target.on('error', () => source.resume());
    target.once('close', () => source.resume());
    source.pipe(target);
  });
}

/**
 * The process with its output held until somebody reads it. Without this a command that ends before the client has opened its streams would
 * lose its output: Node drops what a dead child's pipes hold when nobody listens.
 */
export function holdOutput(process: ContainerProcess): ContainerProcess {
  const held = (source: Readable | undefined): Readable | undefined => {
    if (!source) return undefined;
    const hold = new PassThrough();
    // A pty reports EIO when its last process has gone: that is its end. So is whatever else ends the source early.
    source.on('error', () => hold.end()).once('close', () => hold.end());
    return source.pipe(hold);
  };
  const { stdin, exit } = process;
  return {
    stdin,
    stdout: held(process.stdout),
    stderr: held(process.stderr),
    resize: (columns, rows) => process.resize?.(columns, rows),
    exit,
    kill: () => process.kill(),
  };
}

/** Joins a client and a process until the process has ended or the client has gone. */
export async function runSession(session: Session, process: ContainerProcess): Promise<void> {
  const input = process.stdin;
  if (session.stdin && input) {
    // A process that closes its input early makes EPIPE: the rest of what the client sends is dropped.
    input.on('error', () => session.stdin?.resume());
    session.stdin.on('error', () => input.end());
    session.stdin.pipe(input);
  } else session.stdin?.resume();
  session.onResize?.((columns, rows) => process.resize?.(columns, rows));

  const output = Promise.all([copy(process.stdout, session.stdout), copy(process.stderr, session.stderr)]);
  let status: CommandStatus | undefined;
  const ended = (async () => {
    try {
      const { code } = await process.exit;
      await output;
      status = exitStatus(code);
    } catch (error) {
      status = internalStatus(error);
    }
  })();
  const left = session.closed.then(() => process.kill());
  await Promise.race([ended, left]);
  if (status) await session.finish(status);
  else process.kill();
}

/** Terminal sizes come as JSON objects one after the other, not necessarily one per message. */
export function sizeParser(listener: (columns: number, rows: number) => void): (chunk: Buffer) => void {
  let text = '';
  return (chunk) => {
    text += chunk.toString('utf8');
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      const part = text.slice(0, end + 1);
      text = text.slice(end + 1);
      try {
        const { Width, Height } = JSON.parse(part) as { Width?: unknown; Height?: unknown };
        if (isCells(Width) && isCells(Height)) listener(Width, Height);
      } catch {
        // Not a size; the terminal keeps the one it has.
      }
    }
    if (text.length > 1024) text = '';
  };
}

/** winsize has 16 bits for each. */
const isCells = (value: unknown): value is number => Number.isInteger(value) && Number(value) > 0 && Number(value) <= 0xffff;
