import { sys } from './sys.ts';

/**
 * Times send(2) and recv(2) of this process from now on, for benchmarks. The way to a system call, through V8, koffi and libc, has left the caches when calls are far apart, and would take a
 * third of what is measured: the same call goes before, to no socket at all.
 * @param isWanted asked before each call
 * @param note gets the microseconds inside of the call
 */
export function timeSocketCalls(isWanted: () => boolean, note: (us: number) => void): void {
  const calls = { send: sys.send, recv: sys.recv };
  for (const name of ['send', 'recv'] as const)
    sys[name] = (fd, buffer, length, flags) => {
      if (!isWanted()) return calls[name](fd, buffer, length, flags);
      calls[name](-1, buffer, 0, 0);
      const begin = performance.now();
      const result = calls[name](fd, buffer, length, flags);
      note((performance.now() - begin) * 1000);
      return result;
    };
}
