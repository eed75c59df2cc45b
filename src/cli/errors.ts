import { CommanderError } from 'commander';
import { ForeignFileError } from '../cni/put-in-place.ts';
import { EnvironmentError, LabError, UsageError } from '../lab/errors.ts';
import { printable } from './output.ts';

/** Exit codes: 0 ok, 1 a check failed, 2 usage, 3 environment; 70 a fault of podnet itself (EX_SOFTWARE), so that nobody takes it for an answer; 130, as shells have it, when it was interrupted before it was done. */
export const exitCodes = { failed: 1, usage: 2, environment: 3, fault: 70, interrupted: 130 } as const;

/** One sentence for what a person can mend, a stack for what only we can; sets the exit code. */
export function report(error: unknown): void {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  else if (error instanceof UsageError) fail(exitCodes.usage, error.message);
  else if (error instanceof EnvironmentError) fail(exitCodes.environment, `${error.message}\n  Fix: ${error.fix}`);
  else if (error instanceof ForeignFileError)
    fail(
      exitCodes.environment,
      `${error.message}\n  Fix: move it away, or name another directory; podnet replaces nothing of others`,
    );
  else if (error instanceof CheckError || error instanceof LabError) fail(exitCodes.failed, error.message);
  else if (hasCode(error, 'EROFS'))
    fail(
      exitCodes.environment,
      `a file system is read-only: ${(error as Error).message}\n  Fix: labs live in /run/podnet and /run/netns; mount -o remount,rw /run makes it writable`,
    );
  else if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    fail(
      exitCodes.environment,
      `a file system is full: ${(error as Error).message}\n  Fix: free some on /run; df -h /run and df -i /run tell how much there is`,
    );
  else {
    process.once('exit', () => void (process.exitCode = exitCodes.fault));
    throw error;
  }
}

/** Of Node's own errors or the kernel's. */
const hasCode = (error: unknown, ...names: string[]): boolean => {
  const { code, errno } = error as { code?: string; errno?: unknown };
  return [code, errno].some((name) => names.includes(name as string));
};

function fail(code: number, message: string): void {
  // It may quote manifests and what the API says of them (T40).
  console.error(`podnet: ${message.split('\n').map(printable).join('\n')}`);
  process.exitCode = code;
}

/** Something did not come true, e.g. pods that never became Ready. Exit code 1. */
export class CheckError extends Error {}

/** @param why what only root may do */
export function requireRoot(why = 'labs belong to root'): void {
  const uid = process.getuid?.();
  if (uid !== 0) throw new EnvironmentError(`${why}; you are uid ${uid}`, 'run it with sudo');
}
