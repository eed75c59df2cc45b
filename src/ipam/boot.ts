import fs from 'node:fs';
import os from 'node:os';
import { KernelError } from '../kernel/errors.ts';
import type { Fd } from '../kernel/fd.ts';
import { lockFile } from '../kernel/lock.ts';
import { IpamError } from './errors.ts';

/** A time from the machine's start to its end. */
export interface Boot {
  id: string;
  /** ms since 1970 */
  startedMs: number;
}

export function thisBoot(): Boot {
  const id = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { id, startedMs: Date.now() - os.uptime() * 1000 };
}

/** Gone with the process, however it dies. @throws IpamError 'locked' */
export function lock(directory: string): Fd {
  try {
    return lockFile(directory);
  } catch (cause) {
    const taken = cause instanceof KernelError && cause.errno === 'EAGAIN';
    throw new IpamError(
      'locked',
      taken ? `another agent has the leases in ${directory}; stop it first` : (cause as Error).message,
      { cause },
    );
  }
}
