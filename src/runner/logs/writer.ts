import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { timestamp } from './line.ts';
import { logChanged, logClosed, logOpened } from './watchers.ts';

export interface LogLimits {
  /** The file is set aside when it has become this long. */
  maxBytes: number;
  /** Files kept, the one being written included. */
  maxFiles: number;
}

/** kubelet's containerLogMaxSize and containerLogMaxFiles. */
export const defaultLimits: LogLimits = { maxBytes: 10 * 1024 * 1024, maxFiles: 5 };
/** Longer lines are cut in parts (containerd's max_container_log_line_size). */
const maxLine = 16 * 1024;
const newline = 10;

export type LogStream = 'stdout' | 'stderr';

/**
 * A container's log in the format of CRI: `2026-01-02T03:04:05.123456789Z stdout F line`; `P` in place of `F` marks a part of a line that the next
 * entry of the same stream goes on. Older files are `PATH.1` (newest) and up. Writing is synchronous: what has been written survives this process.
 */
export class LogWriter {
  readonly path: string;
  readonly #limits: LogLimits;
  readonly #rest: Record<LogStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  #fd: number | undefined;
  #length = 0;

  /** Opens the file for appending; makes its folder. */
  constructor(path: string, limits: LogLimits = defaultLimits) {
    this.path = path;
    this.#limits = limits;
    mkdirSync(dirname(path), { recursive: true });
    this.#open();
    logOpened(path);
  }

  /** Cuts what a process wrote into lines; an unfinished one waits for its end. Ignored after close. */
  write(stream: LogStream, data: Buffer | string, now: bigint = timeNow()): void {
    if (this.#fd === undefined) return;
    let rest = Buffer.concat([this.#rest[stream], typeof data === 'string' ? Buffer.from(data) : data]);
    const entries: Buffer[] = [];
    const head = `${timestamp(now)} ${stream}`;
    for (;;) {
      const end = rest.indexOf(newline);
      if (end >= 0 && end <= maxLine) {
        entries.push(Buffer.from(`${head} F `), rest.subarray(0, end + 1));
        rest = rest.subarray(end + 1);
      } else if (rest.length > maxLine) {
        entries.push(Buffer.from(`${head} P `), rest.subarray(0, maxLine), Buffer.from('\n'));
        rest = rest.subarray(maxLine);
      } else break;
    }
    // A copy: the chunk it is cut from may be large.
    this.#rest[stream] = Buffer.from(rest);
    if (entries.length > 0) this.#append(Buffer.concat(entries));
  }

  /** Logs everything a stream brings. @returns when it has ended */
  async collect(stream: LogStream, source: Readable): Promise<void> {
    source.on('data', (chunk: Buffer) => this.write(stream, chunk));
    await new Promise<void>((resolve) => source.once('close', resolve).once('end', resolve));
  }

  /** Writes out unfinished lines. Safe to call again. */
  close(): void {
    if (this.#fd === undefined) return;
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#rest[stream];
      if (rest.length === 0) continue;
      this.#append(Buffer.concat([Buffer.from(`${timestamp(timeNow())} ${stream} P `), rest, Buffer.from('\n')]));
    }
    closeSync(this.#fd);
    this.#fd = undefined;
    logClosed(this.path);
  }

  #open(): void {
    this.#fd = openSync(this.path, 'a', 0o640);
    this.#length = statSync(this.path).size;
  }

  #append(bytes: Buffer): void {
    if (this.#length > 0 && this.#length + bytes.length > this.#limits.maxBytes) this.#rotate();
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd!, bytes, done);
    this.#length += bytes.length;
    logChanged(this.path);
  }

  #rotate(): void {
    closeSync(this.#fd!);
    for (let index = this.#limits.maxFiles - 1; index >= 1; index--) {
      const from = index === 1 ? this.path : `${this.path}.${index - 1}`;
      if (statSync(from, { throwIfNoEntry: false })) renameSync(from, `${this.path}.${index}`);
    }
    this.#open();
  }
}

/** Nanoseconds since 1970, strictly increasing in this process: kubectl tells lines apart by their times. */
function timeNow(): bigint {
  const now = BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
  last = now > last ? now : last + 1n;
  return last;
}
let last = 0n;
