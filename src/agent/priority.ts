import os from 'node:os';

/** As a nice value (setpriority(2)). */
const ahead = -5;

/**
 * Lets this process's main thread go first where processors are scarce: a runtime waits for its ADD while threads of V8, which compile and collect beside it, do not
 * mind to. On Linux a priority is a thread's own; those that are there already keep theirs.
 * @returns false without the right to (CAP_SYS_NICE)
 */
export function goFirst(): boolean {
  try {
    os.setPriority(process.pid, ahead);
    return true;
  } catch {
    return false;
  }
}
