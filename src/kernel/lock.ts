import { check } from './errors.ts';
import { Fd } from './fd.ts';
import { sys } from './sys.ts';

// include/uapi/asm-generic/fcntl.h
const exclusive = 2; // LOCK_EX
const dontWait = 4; // LOCK_NB

/**
 * Locks a file or directory for whoever has the descriptor: flock(2). The kernel lets go of it when the descriptor is closed, and when the process dies.
 * @throws KernelError EAGAIN when somebody else has it
 */
export function lockFile(path: string): Fd {
  const fd = Fd.open(path);
  try {
    check(`lock ${path}`, sys.flock(fd.number, exclusive | dontWait));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}
