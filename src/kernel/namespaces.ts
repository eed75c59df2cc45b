import { check, errnoName } from './errors.ts';
import { Fd } from './fd.ts';
import { cString, errno, sys } from './sys.ts';

// include/uapi/linux/sched.h
const kinds = { mnt: 0x00020000, uts: 0x04000000, ipc: 0x08000000, pid: 0x20000000 } as const;
type Kind = keyof typeof kinds;
/** The mount namespace comes first on the way in and on the way out: paths are right again for whatever follows. */
const order: readonly Kind[] = ['mnt', 'uts', 'ipc', 'pid'];

let home: Map<Kind, Fd> | undefined;

/** `pid_for_children` is what unshare and setns change; the thread's own never changes. */
const fileOf = (kind: Kind): string => `/proc/thread-self/ns/${kind === 'pid' ? 'pid_for_children' : kind}`;

function openHome(): Map<Kind, Fd> {
  home ??= new Map(order.map((kind) => [kind, Fd.open(fileOf(kind))]));
  return home;
}

/** A thread left in a container's root would read and write the wrong files, so there is no going on without. */
function goHome(directory: string): void {
  for (const [kind, fd] of openHome()) {
    if (sys.setns(fd.number, kinds[kind]) !== 0) abort(`${kind} namespace`);
  }
  if (sys.chdir(cString(directory)) !== 0 && sys.chdir(cString('/')) !== 0) abort('directory');
}

function abort(what: string): never {
  process.stderr.write(`podnet: cannot return to the ${what} it came from (${errnoName(errno())}); stopping\n`);
  process.abort();
}

/**
 * Runs `fn` with this thread in new mount, UTS and IPC namespaces, and with a new pid namespace for the children it starts: the first is its
 * pid 1. The namespaces live as long as a process in them. Only this thread moves; `fn` must be synchronous and start no thread.
 * Stops the process if the thread cannot come back.
 * @throws KernelError EPERM without root
 */
export function inNewNamespaces<T>(fn: () => T extends Promise<unknown> ? never : T): T {
  return away(() => check('unshare', sys.unshare(kinds.mnt | kinds.uts | kinds.ipc | kinds.pid)), fn);
}

/** Like `inNewNamespaces`, in those of a process. @throws KernelError ENOENT, ESRCH when it is gone */
export function inNamespacesOf<T>(pid: number, fn: () => T extends Promise<unknown> ? never : T): T {
  const theirs: { kind: Kind; fd: Fd }[] = [];
  try {
    // All are opened first: /proc is another one in there.
    for (const kind of order) theirs.push({ kind, fd: Fd.open(`/proc/${pid}/ns/${kind}`) });
    return away(() => {
      // setns refuses a mount namespace to a thread that shares its root and directory with others (CLONE_FS).
      check('unshare CLONE_FS', sys.unshare(0x200));
      for (const { kind, fd } of theirs) {
        check(() => `enter the ${kind} namespace of ${pid}`, sys.setns(fd.number, kinds[kind]));
      }
    }, fn);
  } finally {
    for (const { fd } of theirs) fd.close();
  }
}

function away<T>(leave: () => void, fn: () => T): T {
  const directory = process.cwd();
  openHome();
  try {
    leave();
    return fn();
  } finally {
    goHome(directory);
  }
}
