import { check, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import { addressOf, cString, nativeBuffer, sys } from './sys.ts';

export interface ShortProgramOptions {
  path: string;
  env: Readonly<Record<string, string>>;
  /** For standard input, at most what a pipe holds (64 KiB). */
  input: string | Uint8Array;
}

export interface ShortProgramEnd {
  /** Of the program; 128 + n after signal n. */
  exitCode: number;
  stdout: Buffer;
  /** User and system time of the program and of those that it waited for, microseconds. */
  cpuUs: number;
}

const [oCloexec, pollIn, eintr] = [0o2000000, 1, 'EINTR'];
const chunk = nativeBuffer(65536);

/**
 * A program that runs for a moment: posix_spawn, which does not copy this process's page tables, with pipes for standard input and output. All of it
 * is synchronous, in the network namespace of the calling thread.
 */
export class ShortProgram {
  readonly pid: number;
  readonly #output: Fd;
  readonly #parts: Buffer[] = [];

  private constructor(pid: number, output: Fd) {
    this.pid = pid;
    this.#output = output;
  }

  /** @throws KernelError, RangeError for an input that does not fit into a pipe */
  static start({ path, env, input }: ShortProgramOptions): ShortProgram {
    const bytes = typeof input === 'string' ? Buffer.from(input) : input;
    if (bytes.length > 65536)
      throw new RangeError(`${path}: ${bytes.length} bytes for standard input are more than a pipe holds`);
    const stdin = pipe();
    const stdout = pipe();
    const actions = nativeBuffer(512);
    try {
      if (bytes.length > 0) check('write', sys.write(stdin.write.number, bytes, bytes.length));
      sys.posix_spawn_file_actions_init(actions);
      sys.posix_spawn_file_actions_adddup2(actions, stdin.read.number, 0);
      sys.posix_spawn_file_actions_adddup2(actions, stdout.write.number, 1);
      const name = cString(path);
      const [argv, envp] = [strings([path]), strings(Object.entries(env).map(([key, value]) => `${key}=${value}`))];
      const pid = nativeBuffer(8);
      const error = sys.posix_spawn(pid, name, actions, null, argv.pointers, envp.pointers);
      if (error !== 0) throw new KernelError(`start ${path}`, error);
      return new ShortProgram(pid.readInt32LE(0), stdout.read);
    } catch (error) {
      stdout.read.close();
      throw error;
    } finally {
      sys.posix_spawn_file_actions_destroy(actions);
      for (const end of [stdin.read, stdin.write, stdout.write]) end.close();
    }
  }

  /** Waits for it to close its standard output and to end. */
  end(): ShortProgramEnd {
    while (!this.#read());
    return this.#wait();
  }

  /** Waits until one of them or more has ended. A program is not to be asked again after its end. */
  static endOfAny(programs: readonly ShortProgram[]): { program: ShortProgram; end: ShortProgramEnd }[] {
    for (;;) {
      // struct pollfd, include/uapi/asm-generic/poll.h
      const fds = nativeBuffer(8 * programs.length);
      programs.forEach((program, i) => {
        fds.writeInt32LE(program.#output.number, 8 * i);
        fds.writeInt16LE(pollIn, 8 * i + 4);
      });
      retried('poll', () => sys.poll(fds, programs.length, -1));
      const ended = programs.filter((program, i) => fds.readInt16LE(8 * i + 6) !== 0 && program.#read());
      if (ended.length > 0) return ended.map((program) => ({ program, end: program.#wait() }));
    }
  }

  /** @returns whether that was the end */
  #read(): boolean {
    const length = retried('read', () => sys.read(this.#output.number, chunk, chunk.length));
    if (length > 0) this.#parts.push(Buffer.from(chunk.subarray(0, length)));
    return length === 0;
  }

  #wait(): ShortProgramEnd {
    this.#output.close();
    const status = nativeBuffer(8);
    // struct rusage: two struct timeval, user and system; 144 bytes in all
    const usage = nativeBuffer(256);
    retried('wait4', () => sys.wait4(this.pid, status, 0, usage));
    const time = (at: number): number => Number(usage.readBigInt64LE(at)) * 1e6 + Number(usage.readBigInt64LE(at + 8));
    const word = status.readInt32LE(0);
    const signal = word & 0x7f;
    return {
      exitCode: signal === 0 ? (word >> 8) & 0xff : 128 + signal,
      stdout: Buffer.concat(this.#parts),
      cpuUs: time(0) + time(16),
    };
  }
}

function retried(what: string, call: () => number): number {
  for (;;) {
    try {
      return check(what, call());
    } catch (error) {
      if ((error as KernelError).errno !== eintr) throw error;
    }
  }
}

function pipe(): { read: Fd; write: Fd } {
  const pair = nativeBuffer(8);
  check('pipe2', sys.pipe2(pair, oCloexec));
  return { read: Fd.own(pair.readInt32LE(0), 'pipe'), write: Fd.own(pair.readInt32LE(4), 'pipe') };
}

/** An array of pointers to strings that ends with NULL; `bytes` must live as long as it. */
function strings(texts: readonly string[]): { pointers: Buffer; bytes: Buffer } {
  const parts = texts.map(cString);
  const bytes = nativeBuffer(parts.reduce((sum, { length }) => sum + length, 1));
  const pointers = nativeBuffer(8 * (parts.length + 1));
  let at = 0;
  parts.forEach((part, i) => {
    part.copy(bytes, at);
    pointers.writeBigUInt64LE(addressOf(bytes) + BigInt(at), 8 * i);
    at += part.length;
  });
  return { pointers, bytes };
}
