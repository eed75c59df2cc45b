import { EventEmitter } from 'node:events';

// Writers and readers of a node's logs live in one process: no file is polled or watched.
const events = new EventEmitter().setMaxListeners(0);
/** Writers of a path: a restarted container's opens before the old one's is closed at times. */
const open = new Map<string, number>();

export function logOpened(path: string): void {
  open.set(path, (open.get(path) ?? 0) + 1);
}

export function logClosed(path: string): void {
  const left = (open.get(path) ?? 1) - 1;
  if (left > 0) open.set(path, left);
  else open.delete(path);
  events.emit(path);
}

export const logChanged = (path: string): void => void events.emit(path);

/** More may come. */
export const isWritten = (path: string): boolean => open.has(path);

/** Fulfilled at the next change of the log, at once when the signal is aborted. */
export function nextChange(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      events.off(path, done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    events.on(path, done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
