import type { ServerResponse } from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ContainerRef, LogOptions, StreamBackend } from './backend.ts';

/** Passes the first `limit` bytes and then ends. */
const limited = (limit: number): Transform => {
  let left = limit;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      callback(null, part);
      if (left === 0) this.end();
    },
  });
};

/** Answers with the log as text; the connection stays open while the log is followed. */
export async function serveLogs(
  ref: ContainerRef,
  options: LogOptions,
  backend: StreamBackend,
  response: ServerResponse,
): Promise<void> {
  const log = await backend.logs(ref, options);
  if (response.destroyed) {
    log.destroy();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  // The client of a quiet log must know at once that it is connected.
  response.flushHeaders();
  response.once('close', () => log.destroy());
  if (options.limitBytes === undefined) await pipeline(log, response);
  else {
    const limit = limited(options.limitBytes);
    limit.once('finish', () => log.destroy());
    log.on('error', () => limit.end());
    log.pipe(limit);
    await pipeline(limit, response);
  }
}
