import fs from 'node:fs';
import os from 'node:os';
import { check, KernelError } from '../kernel/errors.ts';
import { Fd } from '../kernel/fd.ts';
import { sys } from '../kernel/sys.ts';
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

/** flock(2) LOCK_EX | LOCK_NB; the kernel lets go of it when the process dies. @throws IpamError 'locked' */
export function lock(directory: string): Fd {
  const fd = Fd.open(directory);
  try {
    check(`lock ${directory}`, sys.flock(fd.number, 2 | 4));
    return fd;
  } catch (cause) {
    fd.close();
    const taken = cause instanceof KernelError && cause.errno === 'EAGAIN';
    throw new IpamError(
      'locked',
      taken ? `another agent has the leases in ${directory}; stop it first` : (cause as Error).message,
      { cause },
    );
  }
}
