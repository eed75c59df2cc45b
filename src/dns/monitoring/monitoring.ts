import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { Answerer } from '../../unix/http.ts';
import { type LogFilter, LogTap } from './log-tap.ts';
import { type MetricsParts, metricsText } from './metrics-text.ts';

/** What a reader that does not keep up may leave unread; entries are dropped above. */
const mostUnreadBytes = 1 << 20;
/** How often a reader is told of dropped entries. */
const tellDroppedMs = 1000;

/** Looks into a running server: counters, and the stream of questions and answers. */
export class Monitoring {
  readonly log: LogTap;
  readonly walks = { found: 0, nothing: 0 };
  readonly #parts: Omit<MetricsParts, 'log' | 'walks' | 'version'>;
  readonly #version = versionOfPackage();

  constructor(parts: Omit<MetricsParts, 'log' | 'walks' | 'version'>) {
    this.#parts = parts;
    this.log = new LogTap(parts.cluster.pods);
  }

  readonly onWalk = (found: boolean): void => {
    if (found) this.walks.found++;
    else this.walks.nothing++;
  };

  metrics(): string {
    return metricsText({ ...this.#parts, log: this.log, walks: this.walks, version: this.#version });
  }

  /** For the health socket. */
  get paths(): Record<string, Answerer> {
    return {
      '/metrics': () => ({ body: this.metrics() }),
      '/log/': (filter) => ({ stream: (out) => streamLog(this.log, JSON.parse(filter || '{}') as LogFilter, out) }),
    };
  }
}

/** Lines of LogEntry; and `{"dropped": N}`, how many since the last such line were dropped. */
function streamLog(log: LogTap, filter: LogFilter, out: Writable): void {
  const take = (entry: object): boolean => {
    if (out.writableLength > mostUnreadBytes) return false;
    out.write(`${JSON.stringify(entry)}\n`);
    return true;
  };
  const reading = log.read({ filter, take });
  let told = 0;
  const tell = setInterval(() => {
    const { dropped } = reading;
    if (dropped > told && take({ dropped: dropped - told })) told = dropped;
  }, tellDroppedMs);
  out.on('error', () => {});
  out.on('close', () => {
    clearInterval(tell);
    reading[Symbol.dispose]();
  });
}

function versionOfPackage(): string {
  return (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
