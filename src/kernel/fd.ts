import { check } from './errors.ts';
import { cString, sys } from './sys.ts';

const oCloexec = 0o2000000;

/** Where each open Fd was born; filled only while tests trace (see `traceFds`). */
const births = new Map<Fd, string>();
let tracing = false;

/**
 * An owned file descriptor. Ownership moves out by `disown`; closing twice is harmless, using it after closing throws.
 */
export class Fd implements Disposable {
  #number: number;
  readonly what: string;

  private constructor(number: number, what: string) {
    this.#number = number;
    this.what = what;
    if (tracing) births.set(this, new Error(what).stack ?? what);
  }

  /** Takes ownership of a descriptor that a system call returned. @param what for messages */
  static own(number: number, what: string): Fd {
    return new Fd(number, what);
  }

  /** open(2), close-on-exec. @throws KernelError */
  static open(path: string, flags = 0, mode = 0): Fd {
    return new Fd(
      check(() => `open ${path}`, sys.open(cString(path), flags | oCloexec, mode)),
      path,
    );
  }

  get number(): number {
    if (this.#number < 0) throw new Error(`${this.what} is closed`);
    return this.#number;
  }

  get closed(): boolean {
    return this.#number < 0;
  }

  /** Hands the descriptor to the caller, who must close it (or give it to node, which does). */
  disown(): number {
    const number = this.number;
    this.#number = -1;
    births.delete(this);
    return number;
  }

  close(): void {
    if (this.#number >= 0) sys.close(this.disown());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** For tests: from now on, remember where descriptors are born. */
export function traceFds(): void {
  tracing = true;
}

/** For tests: what is open and where it was opened. */
export const openFds = (): { what: string; birth: string }[] => Array.from(births, ([fd, birth]) => ({ what: fd.what, birth }));
