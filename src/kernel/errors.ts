import { constants } from 'node:os';
import { errno as lastErrno } from './sys.ts';

/** Linux numbers that node:os does not list (include/uapi/asm-generic/errno.h, include/linux/errno.h). */
const extraErrnos: Record<string, number> = {
  ENOTNAM: 118,
  ENONET: 64,
  ENOPKG: 65,
  ESHUTDOWN: 108,
  EHOSTDOWN: 112,
  EUCLEAN: 117,
  ERESTART: 85,
  EPFNOSUPPORT: 96,
  ENOTUNIQ: 76,
};

const errnoNames = new Map<number, string>(
  // Aliases that would win otherwise: EWOULDBLOCK is EAGAIN, ENOTSUP is EOPNOTSUPP.
  [...Object.entries(constants.errno), ...Object.entries(extraErrnos)]
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, number]) => [number, name]),
);

/** `ENOENT` for 2. */
export const errnoName = (number: number): string => errnoNames.get(number) ?? `errno ${number}`;

export interface KernelErrorOptions extends ErrorOptions {
  /** The kernel's own words (netlink extended acknowledgement). */
  extack?: string;
  /** Byte of the netlink message that the kernel points at, from the message's header on. */
  offset?: number;
}

/** The kernel refused. `errno` is its name, e.g. `ENOENT`. */
export class KernelError extends Error {
  readonly operation: string;
  readonly errno: string;
  readonly extack: string | undefined;
  readonly offset: number | undefined;

  constructor(operation: string, errno: number | string, { extack, offset, ...options }: KernelErrorOptions = {}) {
    const name = typeof errno === 'number' ? errnoName(errno) : errno;
    const place = offset === undefined ? '' : ` (at byte ${offset} of the message)`;
    super(`${operation}: ${name}${extack ? `: ${extack}` : ''}${place}`, options);
    this.name = 'KernelError';
    this.operation = operation;
    this.errno = name;
    this.extack = extack;
    this.offset = offset;
  }
}

/** Events or replies were lost because the socket's buffer was full: read everything anew. */
export class ResyncNeeded extends KernelError {
  constructor(operation: string) {
    super(operation, 'ENOBUFS', { extack: 'the kernel dropped messages because the receive buffer was full' });
    this.name = 'ResyncNeeded';
  }
}

const hasErrno =
  (...names: string[]) =>
  (error: unknown): error is KernelError =>
    error instanceof KernelError && names.includes(error.errno);

/** What was asked for is not there: file, link (ENODEV), route (ESRCH), address (EADDRNOTAVAIL). */
export const isNotFound = hasErrno('ENOENT', 'ENODEV', 'ESRCH', 'EADDRNOTAVAIL', 'ENXIO');
export const isExists = hasErrno('EEXIST');

/**
 * Turns libc's -1 into an error.
 * @param operation what was tried and on what; give a function where building the text costs
 * @returns the result when it is not negative
 */
export function check(operation: string | (() => string), result: number): number {
  if (result >= 0) return result;
  const number = lastErrno();
  throw new KernelError(typeof operation === 'string' ? operation : operation(), number);
}
