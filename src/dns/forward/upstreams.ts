import { readFileSync, statSync } from 'node:fs';
import { IpAddr } from '../../net/ip.ts';

export interface Upstream {
  address: IpAddr;
  port: number;
}

export interface UpstreamOptions {
  /** `1.2.3.4`, `1.2.3.4:5353`, `fd00::1`, `[fd00::1]:5353`. Tried before those of `resolvConf`. */
  servers?: readonly string[];
  /** Path of a resolv.conf; read again when it changes. */
  resolvConf?: string;
}

export const upstreamText = ({ address, port }: Upstream): string =>
  address.family === 'ipv4' ? `${address}:${port}` : `[${address}]:${port}`;

/** @throws SyntaxError */
export function parseUpstream(text: string): Upstream {
  const [, bracketed, plain, port = '53'] = /^(?:\[(.*)\]|([^:]*|.*:.*:.*))(?::(\d+))?$/.exec(text) ?? [];
  const number = Number(port);
  const host = bracketed ?? plain;
  if (host === undefined || !(number >= 1 && number <= 65535))
    throw new SyntaxError(`"${text}" is not a resolver: expected ADDRESS or ADDRESS:PORT, with IPv6 addresses in brackets`);
  return { address: IpAddr.parse(host), port: number };
}

/** The `nameserver` lines (R8); lines with other addresses than IP addresses, or with a zone, are left out as libc leaves them out. */
export function parseResolvConf(text: string): Upstream[] {
  return text
    .split('\n')
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1])
    .map((address) => (address === undefined ? undefined : IpAddr.tryParse(address)))
    .filter((address) => address !== undefined)
    .map((address) => ({ address, port: 53 }));
}

const checkEveryMs = 5000;

/**
 * Which resolvers to ask, in which order. One that fails goes to the end for a while; one that leads back to this server is not asked at all.
 * A list that cannot be read any more stays as it was.
 */
export class Upstreams {
  readonly #options: UpstreamOptions;
  readonly #own: ReadonlySet<string>;
  readonly #now: () => number;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #modified = 0;
  #all: Upstream[] = [];
  readonly #failedUntil = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #looping = new Map<string, number>();
  #fault: string | undefined;

  /**
   * @param own `address:port` that this server listens on: asking them would be asking itself
   * @param now monotonic milliseconds
   */
  constructor(options: UpstreamOptions, own: readonly string[], now: () => number) {
    this.#options = options;
    this.#own = new Set(own);
    this.#now = now;
    this.#all = (options.servers ?? []).map(parseUpstream);
    this.#read();
  }

  /** Why there may be none, for people. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** All that are configured, also failing ones. */
  get all(): readonly Upstream[] {
    this.#read();
    return this.#all;
  }

  /** In the order to try: healthy ones first, as configured; then the others, the one that may have recovered first. */
  candidates(): Upstream[] {
    const now = this.#now();
    const until = (upstream: Upstream): number => {
      const time = this.#failedUntil.get(upstreamText(upstream)) ?? 0;
      return time > now ? time : 0;
    };
    return this.all.filter((upstream) => !this.isLooping(upstream)).sort((a, b) => until(a) - until(b));
  }

  /** None is worth waiting for. */
  get allDown(): boolean {
    const now = this.#now();
    for (const upstream of this.#all) {
      const text = upstreamText(upstream);
      if ((this.#failedUntil.get(text) ?? 0) <= now && !this.isLooping(upstream)) return false;
    }
    return true;
  }

  failed(upstream: Upstream): void {
    const text = upstreamText(upstream);
    const failures = Math.min((this.#failures.get(text) ?? 0) + 1, 6);
    this.#failures.set(text, failures);
    this.#failedUntil.set(text, this.#now() + 1000 * 2 ** (failures - 1));
  }

  worked(upstream: Upstream): void {
    const text = upstreamText(upstream);
    this.#failures.delete(text);
    this.#failedUntil.delete(text);
  }

  isLooping(upstream: Upstream): boolean {
    const text = upstreamText(upstream);
    return this.#own.has(text) || (this.#looping.get(text) ?? 0) > this.#now();
  }

  /** What was asked there came back here (R9). It is left alone for a while. */
  loops(upstream: Upstream, forMs: number): void {
    this.#looping.set(upstreamText(upstream), this.#now() + forMs);
  }

  #read(): void {
    const { resolvConf, servers = [] } = this.#options;
    if (resolvConf === undefined || this.#now() < this.#checkedAt + checkEveryMs) return;
    this.#checkedAt = this.#now();
    try {
      const { mtimeMs } = statSync(resolvConf);
      if (mtimeMs === this.#modified) return;
      const listed = parseResolvConf(readFileSync(resolvConf, 'utf8'));
      this.#modified = mtimeMs;
      this.#all = [...servers.map(parseUpstream), ...listed];
      this.#fault = this.#all.length > 0 ? undefined : `${resolvConf} names no resolver`;
    } catch (error) {
      // When it is back, it is read, even if its time is the same.
      this.#modified = 0;
      this.#fault = `cannot read ${resolvConf}: ${(error as Error).message}`;
    }
  }
}
