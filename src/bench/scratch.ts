import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { mount, mountFlags, unmount } from '../kernel/mounts.ts';

/** Where a benchmark works. */
export interface Scratch {
  /** A tmpfs of its own, as /run is on a machine with systemd. On a disk, others' files would be measured along. */
  directory: string;
  /** Aborts on Ctrl-C and the like: what is under way ends in order. */
  signal: AbortSignal;
}

/** Runs a benchmark in a directory that is gone afterwards, however it ends. */
export async function withScratch<T>(run: (scratch: Scratch) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort(new Error('interrupted; nothing was left behind'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  const directory = mkdtempSync(`${tmpdir()}/podnet-bench-`);
  try {
    mount('podnet-bench', directory, 'tmpfs', mountFlags.noSuid | mountFlags.noDev, 'mode=0700');
    return await run({ directory, signal: interrupt.signal });
  } finally {
    unmount(directory);
    rmSync(directory, { recursive: true, force: true });
  }
}
