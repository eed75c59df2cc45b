import { availableParallelism } from 'node:os';
import { isNotFound } from '../../kernel/errors.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { isWritableSysctl, readSysctl, writeSysctl } from '../../kernel/sysctl.ts';

const folder = 'net/netfilter/nf_conntrack_';
const limits = { max: `${folder}max`, buckets: `${folder}buckets` } as const;
/** Seconds: the kernel's own (nf_conntrack_proto_tcp.c), and kube-proxy's (SD28). */
const timeouts = [
  { name: `${folder}tcp_timeout_established`, kernels: 432_000, planned: 86_400 },
  { name: `${folder}tcp_timeout_close_wait`, kernels: 60, planned: 3600 },
] as const;

export interface SysctlChange {
  name: string;
  from: number;
  to: number;
}

/**
 * What conntrack's settings are to become (SD28): room for max(131072, 32768 for each core) connections and a bucket for four of them, an established TCP
 * connection remembered for a day, one that waits for its end for an hour. Limits are only ever raised; a timeout that is not the kernel's own was chosen by somebody
 * and stays.
 * @param read a setting; undefined when the kernel lacks it, or it is not for this namespace to change
 */
export function planConntrackLimits(cores: number, read: (name: string) => number | undefined): SysctlChange[] {
  const changes: SysctlChange[] = [];
  const plan = (name: string, from: number | undefined, to: number): void => {
    if (from !== undefined && from !== to) changes.push({ name, from, to });
  };
  const max = read(limits.max);
  if (max !== undefined) {
    // 0 is no limit.
    const wanted = max === 0 ? 0 : Math.max(max, 131_072, 32_768 * cores);
    plan(limits.max, max, wanted);
    const buckets = read(limits.buckets);
    if (buckets !== undefined) plan(limits.buckets, buckets, Math.max(buckets, Math.floor(wanted / 4)));
  }
  for (const { name, kernels, planned } of timeouts) {
    const now = read(name);
    plan(name, now, now === kernels ? planned : (now ?? planned));
  }
  return changes;
}

/** Keeps conntrack's settings at least as large as planned, where they are this namespace's to set. */
export class ConntrackLimits {
  readonly #ns: NetNs;
  readonly #log: (line: string) => void;
  #warnings: readonly string[] = [];

  constructor(ns: NetNs, log: (line: string) => void) {
    this.#ns = ns;
    this.#log = log;
  }

  /** What could not be set, a sentence each. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** To be called now and then: the kernel has the settings from the first rule on that asks conntrack. */
  apply(): void {
    const refused: string[] = [];
    try {
      for (const change of planConntrackLimits(availableParallelism(), (name) => this.#read(name))) this.#write(change, refused);
    } catch (error) {
      refused.push(`the settings of conntrack cannot be read: ${(error as Error).message}`);
    }
    this.#warnings = refused;
  }

  #write({ name, from, to }: SysctlChange, refused: string[]): void {
    try {
      writeSysctl(this.#ns, name, to);
      this.#log(`sysctl ${name}: ${from} is ${to} now`);
    } catch (error) {
      refused.push(
        `sysctl ${name} is ${from} and should be ${to}: ${(error as Error).message}; set it, or set services.conntrackLimits to false`,
      );
    }
  }

  #read(name: string): number | undefined {
    try {
      return isWritableSysctl(this.#ns, name) ? Number(readSysctl(this.#ns, name)) : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}
