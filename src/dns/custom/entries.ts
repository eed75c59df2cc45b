import { IpAddr } from '../../net/ip.ts';
import { lowerName, parseName } from '../wire/names.ts';

/** Names that somebody sets by hand, beside those of the cluster: YAML or JSON of this shape (see README.md). */
export interface CustomEntries {
  hosts?: HostsEntries;
  /** In order; the first that matches counts, unless it says `continue`. */
  rewrite?: RewriteEntry[];
}

export interface HostsEntries {
  /** Seconds; default 30. */
  ttl?: number;
  entries?: { address: string; names: string[] }[];
  /** Files with lines as in /etc/hosts. */
  files?: string[];
  /** Addresses lead back to names (PTR); default true. */
  reverse?: boolean;
  /** Names below these that have no entry do not exist; all others go on to the cluster and the resolvers. */
  zones?: string[];
}

export const matchKinds = ['exact', 'prefix', 'suffix', 'substring', 'regex'] as const;
export type MatchKind = (typeof matchKinds)[number];

export interface RewriteEntry {
  match: MatchKind;
  from: string;
  /** With `{1}` to `{9}` for the groups of a regex. */
  to: string;
  /** Other names in answers that are to be turned back; the one that was asked for always is. */
  answer?: { names: 'owner' | 'target'; from: string; to: string }[];
  /** Go on with the next rules, which see the new name. */
  continue?: boolean;
}

/** @throws SyntaxError that names the field, the value seen and what is expected */
export function checkCustom(input: unknown): CustomEntries {
  const { hosts, rewrite } = object(input ?? {}, '', ['hosts', 'rewrite']);
  return {
    ...(hosts === undefined ? {} : { hosts: checkHosts(hosts) }),
    ...(rewrite === undefined ? {} : { rewrite: list(rewrite, 'rewrite').map((rule, i) => checkRule(rule, `rewrite[${i}]`)) }),
  };
}

function checkHosts(input: unknown): HostsEntries {
  const { ttl, entries, files, reverse, zones } = object(input, 'hosts', ['ttl', 'entries', 'files', 'reverse', 'zones']);
  return {
    ...(ttl === undefined ? {} : { ttl: wholeNumber(ttl, 'hosts.ttl', 65535) }),
    ...(reverse === undefined ? {} : { reverse: yesOrNo(reverse, 'hosts.reverse') }),
    ...(files === undefined ? {} : { files: list(files, 'hosts.files').map((file, i) => text(file, `hosts.files[${i}]`)) }),
    ...(zones === undefined ? {} : { zones: list(zones, 'hosts.zones').map((zone, i) => name(zone, `hosts.zones[${i}]`)) }),
    ...(entries === undefined ? {} : { entries: list(entries, 'hosts.entries').map((entry, i) => checkEntry(entry, `hosts.entries[${i}]`)) }),
  };
}

function checkEntry(input: unknown, path: string): { address: string; names: string[] } {
  const { address, names } = object(input, path, ['address', 'names']);
  if (typeof address !== 'string' || !IpAddr.tryParse(address)) fail(`${path}.address`, address, 'an IP address');
  return { address: address as string, names: list(names, `${path}.names`).map((one, i) => name(one, `${path}.names[${i}]`)) };
}

function checkRule(input: unknown, path: string): RewriteEntry {
  const { match, from, to, answer, continue: goOn } = object(input, path, ['match', 'from', 'to', 'answer', 'continue']);
  if (!matchKinds.includes(match as MatchKind)) fail(`${path}.match`, match, `one of ${matchKinds.join(', ')}`);
  return {
    ...{ match: match as MatchKind, from: text(from, `${path}.from`), to: anyText(to, `${path}.to`) },
    ...(goOn === undefined ? {} : { continue: yesOrNo(goOn, `${path}.continue`) }),
    ...(answer === undefined ? {} : { answer: list(answer, `${path}.answer`).map((one, i) => checkAnswer(one, `${path}.answer[${i}]`)) }),
  };
}

function checkAnswer(input: unknown, path: string): { names: 'owner' | 'target'; from: string; to: string } {
  const { names, from, to } = object(input, path, ['names', 'from', 'to']);
  if (names !== 'owner' && names !== 'target') fail(`${path}.names`, names, 'owner or target');
  return { names: names as 'owner' | 'target', from: text(from, `${path}.from`), to: text(to, `${path}.to`) };
}

function fail(path: string, value: unknown, expected: string): never {
  throw new SyntaxError(`${path || 'the document'} must be ${expected}, not ${JSON.stringify(value)?.slice(0, 100) ?? 'absent'}`);
}

function object(input: unknown, path: string, known: readonly string[]): Record<string, unknown> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) fail(path, input, 'a mapping');
  const unknown = Object.keys(input as object).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new SyntaxError(`${path || 'the document'} has an unknown field "${unknown}"; known are ${known.join(', ')}`);
  return input as Record<string, unknown>;
}

function list(input: unknown, path: string): unknown[] {
  if (!Array.isArray(input)) fail(path, input, 'a list');
  return input as unknown[];
}

function text(input: unknown, path: string): string {
  if (typeof input !== 'string' || input === '') fail(path, input, 'text');
  return input as string;
}

/** As the part that stands in place of another may be nothing. */
function anyText(input: unknown, path: string): string {
  if (typeof input !== 'string') fail(path, input, 'text');
  return input as string;
}

function yesOrNo(input: unknown, path: string): boolean {
  if (typeof input !== 'boolean') fail(path, input, 'true or false');
  return input as boolean;
}

function wholeNumber(input: unknown, path: string, most: number): number {
  if (!Number.isInteger(input) || (input as number) < 0 || (input as number) > most) fail(path, input, `a whole number from 0 to ${most}`);
  return input as number;
}

function name(input: unknown, path: string): string {
  try {
    lowerName(parseName(text(input, path)));
  } catch (error) {
    throw new SyntaxError(`${path}: ${(error as Error).message}`);
  }
  return input as string;
}
