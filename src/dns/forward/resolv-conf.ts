import { readFileSync, statSync } from 'node:fs';
import { IpAddr } from '../../net/ip.ts';
import type { Upstream } from './target.ts';

/** The `nameserver` lines (R8); lines with other addresses than IP addresses, or with a zone, are left out as libc leaves them out. */
export function parseResolvConf(text: string): Upstream[] {
  return text
    .split('\n')
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1])
    .map((address) => (address === undefined ? undefined : IpAddr.tryParse(address)))
    .filter((address) => address !== undefined)
    .map((address) => ({ address, port: 53, protocol: 'udp' }));
}

const checkEveryMs = 5000;

/** A resolv.conf that is read again when it changes. A list that cannot be read any more stays as it was. */
export class ResolvConf {
  readonly #path: string;
  readonly #now: () => number;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #seen = '';
  #listed: Upstream[] = [];
  #fault: string | undefined;

  /** @param now monotonic milliseconds */
  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** Why there may be none, for people. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** @returns undefined when nothing changed since the last call */
  changed(): Upstream[] | undefined {
    if (this.#now() < this.#checkedAt + checkEveryMs) return undefined;
    this.#checkedAt = this.#now();
    try {
      // A file that is put in another's place may be older than it.
      const { mtimeMs, ino, size } = statSync(this.#path);
      const seen = `${mtimeMs} ${ino} ${size}`;
      if (seen === this.#seen) return undefined;
      this.#listed = parseResolvConf(readFileSync(this.#path, 'utf8'));
      this.#seen = seen;
      this.#fault = this.#listed.length > 0 ? undefined : `${this.#path} names no resolver`;
      return this.#listed;
    } catch (error) {
      // When it is back, it is read, even if its time is the same.
      this.#seen = '';
      this.#fault = `cannot read ${this.#path}: ${(error as Error).message}`;
      return undefined;
    }
  }
}
