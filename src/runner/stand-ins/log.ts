import { appendFileSync } from 'node:fs';
import { PassThrough, type Readable } from 'node:stream';

/** Where a container's output lines go. */
export interface LineLog {
  /** @param line without its line end */
  write(stream: 'stdout' | 'stderr', line: string): void;
  close(): void;
}

/** Appends to a file in the format of CRI logs. Opens it for each line: a thousand idle stand-ins hold no descriptor for it. */
export function fileLog(path: string): LineLog {
  return {
    write(stream, line) {
      const now = new Date().toISOString().replace('Z', '000000Z');
      try {
        appendFileSync(path, `${now} ${stream} F ${line}\n`, { mode: 0o640 });
      } catch {
        // The pod's folder is gone: the pod is being removed, and nobody will read it.
      }
    },
    close() {},
  };
}

const burst = 50;
const linesPerSecond = 10;

/** A stand-in's log: what it says of itself always, requests at most some per second, and all of it to those attached. */
export class StandInLog {
  readonly #log: LineLog;
  readonly #attached = new Set<PassThrough>();
  #tokens = burst;
  #refilled = performance.now();
  #left = 0;

  constructor(log: LineLog) {
    this.#log = log;
  }

  say(line: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    this.#log.write(stream, line);
    for (const reader of this.#attached) if (reader.writableLength < 1 << 16) reader.write(`${line}\n`);
  }

  /** A line for a request; too many are counted instead. */
  request(line: () => string): void {
    const now = performance.now();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#refilled) / 1000) * linesPerSecond);
    this.#refilled = now;
    if (this.#tokens < 1) {
      this.#left++;
      return;
    }
    this.#tokens--;
    if (this.#left > 0) this.say(`(${this.#left} more requests)`);
    this.#left = 0;
    // What comes from clients must not break lines.
    this.say(line().replace(/\p{Cc}/gu, '?'));
  }

  attach(): Readable {
    const reader = new PassThrough();
    this.#attached.add(reader);
    reader.once('close', () => this.#attached.delete(reader));
    return reader;
  }

  close(): void {
    for (const reader of this.#attached) reader.end();
    this.#attached.clear();
    this.#log.close();
  }
}
