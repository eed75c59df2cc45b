import type { DnsConfig } from '../config.ts';
import type { CustomEntries } from '../custom/entries.ts';
import type { DomainOptions, UpstreamOptions } from '../forward/options.ts';
import type { Directive } from './parse.ts';

/** A line that means something else here, or nothing. */
export interface Note {
  line: number;
  /** The line's words. */
  text: string;
  why: string;
  /** It concerns hosts or rewrite. */
  custom: boolean;
}

/** As UpstreamOptions, to be written. */
export type TranslatedUpstream = { -readonly [K in keyof UpstreamOptions]: UpstreamOptions[K] } & {
  servers?: string[];
  domains?: Record<string, DomainOptions>;
};

/** The fields of DnsConfig that a Corefile decides about; those of the node (listen, podCidrs, …) are not in it. */
export interface TranslatedConfig extends Partial<Pick<DnsConfig, 'kubeconfig' | 'port' | 'zone' | 'pods' | 'ttl' | 'endpointPodNames' | 'searchWalk' | 'metricsListen'>> {
  upstream?: TranslatedUpstream;
}

/** What has been translated so far. */
export class Translation {
  readonly config: TranslatedConfig = {};
  readonly custom: CustomEntries = {};
  readonly notes: Note[] = [];

  note({ line, words }: Pick<Directive, 'line' | 'words'>, why: string, custom = false): void {
    this.notes.push({ line, text: words.join(' '), why, custom });
  }

  /** Where each field of `config` was said first. */
  readonly lines = new Map<keyof TranslatedConfig, Pick<Directive, 'line' | 'words'>>();

  /** What has come into `config` was said here. */
  said({ line, words }: Pick<Directive, 'line' | 'words'>): void {
    for (const field of Object.keys(this.config) as (keyof TranslatedConfig)[]) if (!this.lines.has(field)) this.lines.set(field, { line, words });
  }

  get upstream(): TranslatedUpstream {
    return (this.config.upstream ??= {});
  }
}

/** How one plugin is translated. */
export type Translator = (directive: Directive, to: Translation, block: Block) => void;

/** The server block that a directive stands in. */
export interface Block {
  /** The domain that it is for, without the last dot; undefined: the root's, which is for all names. */
  domain: string | undefined;
}

/** `5s`, `1m30s`, `250ms`: Go's durations. @returns seconds */
export function secondsOf(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return undefined;
  const units: Record<string, number> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit!]!, 0);
}

/** A whole number between both; undefined for anything else. */
export function numberOf(text: string | undefined, least = 0, most = Number.MAX_SAFE_INTEGER): number | undefined {
  const value = /^\d+$/.test(text ?? '') ? Number(text) : -1;
  return value >= least && value <= most ? value : undefined;
}
