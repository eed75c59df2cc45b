import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { LogOptions } from '../streams/backend.ts';
import { parseLine, timestamp } from './line.ts';
import { isWritten, nextChange } from './watchers.ts';

const chunkLength = 64 * 1024;
const newline = 10;

/** A file of the log; a rotated one stays readable by its handle. */
interface Source {
  handle: FileHandle;
  inode: number;
}

/**
 * A container's log as `kubectl logs` shows it; rotated files are read first. With `follow` it ends when the writer has closed the log.
 * `previous` is the caller's: each run has a path of its own.
 * @returns a stream to be destroyed when nobody reads on
 * @throws ENOENT without a log
 */
export async function readLog(path: string, options: Omit<LogOptions, 'previous'>): Promise<Readable> {
  const sources = await openAll(path);
  const gone = new AbortController();
  const parts = lines(path, sources, options, gone.signal);
  return new Readable({
    read() {
      parts.next().then(
        ({ value, done }) => this.push(done ? null : value),
        (error: Error) => this.destroy(error),
      );
    },
    // Not Readable.from: it would wait for the change that nobody waits for any more.
    destroy(error, callback) {
      gone.abort();
      parts.return(undefined).then(
        () => callback(error),
        (failure: Error) => callback(failure),
      );
    },
  });
}

async function openAll(path: string): Promise<Source[]> {
  const sources = [await openSource(path)];
  for (let index = 1; ; index++) {
    try {
      const older = await openSource(`${path}.${index}`);
      // Rotated while they were being opened: it is here already.
      if (sources.some((one) => one.inode === older.inode)) await older.handle.close();
      else sources.unshift(older);
    } catch {
      return sources;
    }
  }
}

async function openSource(path: string): Promise<Source> {
  const handle = await open(path);
  return { handle, inode: (await handle.stat()).ino };
}

async function* lines(
  path: string,
  sources: Source[],
  options: Omit<LogOptions, 'previous'>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { follow, tailLines, timestamps } = options;
  const since = startTime(options);
  const render = renderer(since, timestamps);
  try {
    const start = tailLines === undefined ? { source: 0, offset: 0 } : await tailStart(sources, tailLines);
    sources.splice(0, start.source).forEach((one) => void one.handle.close());
    let offset = start.offset;
    let rest: Buffer = Buffer.alloc(0);
    while (!signal.aborted) {
      // Looked at before reading: what is written afterwards is announced.
      const more = follow && isWritten(path);
      const change = new AbortController();
      const forward = (): void => change.abort();
      signal.addEventListener('abort', forward);
      const changed = more ? nextChange(path, change.signal) : undefined;
      try {
        for (;;) {
          let chunk = await read(sources[0]!.handle, offset);
          if (chunk.length === 0) {
            if (sources.length === 1 && !(follow && (await openNewer(path, sources)))) break;
            // What came between that reading and the rotation.
            chunk = await read(sources[0]!.handle, offset);
          }
          if (chunk.length === 0) {
            await sources.shift()!.handle.close();
            offset = 0;
            continue;
          }
          offset += chunk.length;
          const data = Buffer.concat([rest, chunk]);
          const end = data.lastIndexOf(newline) + 1;
          rest = Buffer.from(data.subarray(end));
          const text = render(data.subarray(0, end));
          if (text.length > 0) yield text;
        }
        if (!more) return;
        await changed;
      } finally {
        signal.removeEventListener('abort', forward);
        change.abort();
      }
    }
  } finally {
    for (const { handle } of sources) await handle.close();
  }
}

/** Adds the files that were begun after the last one. @returns whether there are any */
async function openNewer(path: string, sources: Source[]): Promise<boolean> {
  const last = sources.at(-1)!;
  if ((await stat(path).catch(() => undefined))?.ino === last.inode) return false;
  // The log's folder may have been removed meanwhile.
  const all = await openAll(path).catch(() => []);
  // More than one rotation may have passed; when the last one is itself gone, all are newer.
  const index = all.findIndex((one) => one.inode === last.inode);
  for (const one of all.splice(0, index + 1)) await one.handle.close();
  sources.push(...all);
  return all.length > 0;
}

async function read(handle: FileHandle, offset: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(chunkLength);
  const { bytesRead } = await handle.read(buffer, 0, chunkLength, offset);
  return buffer.subarray(0, bytesRead);
}

function startTime({ sinceTime, sinceSeconds }: Omit<LogOptions, 'previous'>): string | undefined {
  const from = sinceTime?.getTime() ?? (sinceSeconds === undefined ? undefined : Date.now() - sinceSeconds * 1000);
  return from === undefined ? undefined : timestamp(BigInt(from) * 1_000_000n);
}

/** Parts of a line are joined by leaving their newline out; only its first part has the time before it. */
function renderer(since: string | undefined, timestamps: boolean): (entries: Buffer) => Buffer {
  let middle = false;
  return (entries) => {
    const out: Buffer[] = [];
    for (let start = 0; start < entries.length; ) {
      const end = entries.indexOf(newline, start);
      const line = parseLine(entries.subarray(start, end));
      start = end + 1;
      // All times have the same form, so that their order is that of the text.
      if (!line || (since !== undefined && line.time < since)) continue;
      if (timestamps && !middle) out.push(Buffer.from(`${line.time} `));
      out.push(line.content);
      if (!line.partial) out.push(Buffer.from('\n'));
      middle = line.partial;
    }
    return Buffer.concat(out);
  };
}

/** Where the last `count` entries begin, found from the end. */
async function tailStart(sources: readonly Source[], count: number): Promise<{ source: number; offset: number }> {
  let left = count;
  for (let source = sources.length - 1; source >= 0; source--) {
    const { handle } = sources[source]!;
    let end = (await handle.stat()).size;
    if (left === 0) return { source, offset: end };
    // The newline at the very end closes the last entry; each one before it opens another.
    let seenLast = false;
    while (end > 0) {
      const from = Math.max(0, end - chunkLength);
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(end - from), 0, end - from, from);
      for (let index = bytesRead - 1; index >= 0; index--) {
        if (buffer[index] !== newline) continue;
        if (!seenLast) seenLast = true;
        else if (--left === 0) return { source, offset: from + index + 1 };
      }
      end = from;
    }
    if (seenLast && --left === 0) return { source, offset: 0 };
  }
  return { source: 0, offset: 0 };
}
