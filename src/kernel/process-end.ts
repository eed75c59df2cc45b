import { check, errnoName } from './errors.ts';
import { Fd } from './fd.ts';
import { waitReady } from './readiness.ts';
import { errno, sys, systemCalls } from './sys.ts';

/**
 * Calls back when a process ends that is no child of this one (pidfd_open(2), Linux 5.3). At once when there is none.
 * @returns stops waiting
 */
export function onProcessEnd(pid: number, callback: () => void): Disposable {
  const number = sys.syscall(systemCalls.pidfd_open, pid, 0, 0, 0, 0);
  const abort = new AbortController();
  if (number < 0) {
    if (errnoName(errno()) !== 'ESRCH') check(() => `watch process ${pid}`, -1);
    const soon = setImmediate(callback);
    return { [Symbol.dispose]: () => clearImmediate(soon) };
  }
  const fd = Fd.own(number, `process ${pid}`);
  void waitReady(fd.number, 'readable', abort.signal).then((ended) => {
    fd.close();
    if (ended) callback();
  });
  return { [Symbol.dispose]: () => abort.abort() };
}
