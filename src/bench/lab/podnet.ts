import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const executable = fileURLToPath(new URL('../../../bin/podnet', import.meta.url));

/**
 * Runs `podnet` as a person does. It stands in a process group of its own, so that Ctrl-C of the terminal ends the benchmark, not the `down` with
 * which that cleans up.
 * @returns how long it took in milliseconds, from before its start until it has ended
 * @throws Error with what it printed when its exit code is not 0; the signal's reason when that ended it
 */
export function podnet(args: readonly string[], signal?: AbortSignal): Promise<number> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(process.execPath, [executable, ...args], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => printed.push(part));
    const stop = (): void => void child.kill('SIGTERM');
    signal?.addEventListener('abort', stop);
    child.once('error', reject);
    child.once('exit', (code) => {
      const took = performance.now() - begin;
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(signal.reason as Error);
      else if (code === 0) resolve(took);
      else reject(new Error(`podnet ${args.join(' ')} ended with ${code}:\n${Buffer.concat(printed)}`));
    });
  });
}

export const labDir = (lab: string): string => `/run/podnet/${lab}`;

/** What is left of a lab after its `down`: nothing, one hopes. */
export function remainsOf(lab: string): string[] {
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`podnet-${lab}-`)) : [];
  return [...namespaces.map((name) => `/run/netns/${name}`), ...(existsSync(labDir(lab)) ? [labDir(lab)] : [])];
}
