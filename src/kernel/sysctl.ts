import { closeSync, constants, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { KernelError } from './errors.ts';
import type { NetNs } from './netns.ts';

const within = <T extends string | undefined>(ns: NetNs | undefined, fn: () => T extends Promise<unknown> ? never : T): T =>
  ns ? ns.enter(fn) : fn();

/** /proc/sys/net shows the namespace of the thread that looks the name up. */
function path(name: string): string {
  // Names of links may have any character but these.
  if (!/^[^/\s\0]+(\/[^/\s\0]+)+$/u.test(name) || name.split('/').some((part) => part === '.' || part === '..'))
    throw new SyntaxError(`"${name}" is not the name of a sysctl: expected parts with slashes, e.g. net/ipv4/ip_forward`);
  return `/proc/sys/${name}`;
}

function failure(operation: string, error: unknown): KernelError {
  const errno = (error as NodeJS.ErrnoException).code ?? 'EIO';
  const extack =
    errno === 'ENOENT'
      ? 'the kernel has no such setting here'
      : errno === 'EROFS'
        ? '/proc/sys is mounted read-only'
        : errno === 'EINVAL'
          ? 'the kernel does not take this value'
          : undefined;
  return new KernelError(operation, errno, { extack, cause: error });
}

/**
 * Reads a setting of a network namespace.
 * @param name with slashes, e.g. `net/ipv4/conf/eth0.1/forwarding`, since names of links may hold dots
 * @returns the value without the newline; several numbers are separated by tabs
 * @throws KernelError ENOENT when the kernel (or the link) does not have it
 */
export function readSysctl(ns: NetNs | undefined, name: string): string {
  const file = path(name);
  try {
    return within(ns, () => readFileSync(file, 'latin1')).trimEnd();
  } catch (error) {
    if (error instanceof KernelError) throw error;
    throw failure(`read sysctl ${name}`, error);
  }
}

/**
 * Whether the kernel lets this namespace change a setting; those that are the machine's are read-only in all others. /proc/sys may still be mounted read-only.
 * @throws KernelError as readSysctl
 */
export function isWritableSysctl(ns: NetNs | undefined, name: string): boolean {
  const file = path(name);
  try {
    return ((ns ? ns.enter(() => statSync(file).mode) : statSync(file).mode) & 0o200) !== 0;
  } catch (error) {
    if (error instanceof KernelError) throw error;
    throw failure(`look at sysctl ${name}`, error);
  }
}

/** Writes a setting. @throws KernelError ENOENT, EACCES or EPERM, EROFS, EINVAL */
export function writeSysctl(ns: NetNs | undefined, name: string, value: string | number): void {
  const file = path(name);
  try {
    // r+: /proc files must not be created or truncated.
    within(ns, () => writeFileSync(file, `${value}\n`, { flag: 'r+' }) as undefined);
  } catch (error) {
    if (error instanceof KernelError) throw error;
    throw failure(`write ${JSON.stringify(String(value))} to sysctl ${name}`, error);
  }
}

/**
 * Writes several settings of one folder in the thread's own namespace, with one look-up of the folder: names like `all` and `eth0` exist once for each namespace of
 * the machine, and the kernel finds the right one by trying them in turn (proc_sys_compare).
 * @param folder e.g. `net/ipv6/conf/eth0`
 * @throws KernelError as writeSysctl
 */
export function writeSysctls(folder: string, settings: Readonly<Record<string, string>>): void {
  const where = path(folder);
  let directory: number | undefined;
  try {
    directory = openSync(where, constants.O_RDONLY | constants.O_DIRECTORY);
    for (const [name, value] of Object.entries(settings))
      writeFileSync(`/proc/self/fd/${directory}/${name}`, `${value}\n`, { flag: 'r+' });
  } catch (error) {
    throw failure(`write the sysctls ${Object.keys(settings).join(', ')} of ${folder}`, error);
  } finally {
    if (directory !== undefined) closeSync(directory);
  }
}
