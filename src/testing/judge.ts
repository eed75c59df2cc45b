import { execFileSync } from 'node:child_process';

/** What tests judge by: other people's tools, run inside a network namespace. Product code never starts them. */

/** Runs a command inside the namespace on `path`. @throws Error with the command's own words */
export function run(path: string, ...command: string[]): string {
  return execFileSync('nsenter', [`--net=${path}`, ...command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
}

/** Runs commands inside the namespace, one after the other, at the cost of one. @returns what each printed; @throws Error with the words of the first that fails */
export function runAll(path: string, commands: readonly (readonly string[])[]): string[] {
  const quoted = commands.map((words) => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' '));
  return run(path, 'sh', '-c', quoted.join(` && printf '\\000' && `)).split('\0');
}

/** `ip -j …`: objects by the names that iproute2 gives. */
export function ip<T = Record<string, unknown>>(path: string, ...args: string[]): T[] {
  const text = run(path, 'ip', '-j', ...args);
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]).filter((item) => Object.keys(item as object).length > 0);
}

/** `bridge -j …` */
export function bridge<T = Record<string, unknown>>(path: string, ...args: string[]): T[] {
  const text = run(path, 'bridge', '-j', ...args);
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
}

/** `tc -j …`; without `-s` what was counted is left out. */
export function tc<T = Record<string, unknown>>(path: string, ...args: string[]): T[] {
  const text = run(path, 'tc', '-j', ...args);
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
}

/** `nft -j …`: the list below "nftables". */
export function nft<T = Record<string, unknown>>(path: string, ...args: string[]): T[] {
  return (JSON.parse(run(path, 'nft', '-j', ...args)) as { nftables: T[] }).nftables;
}

/** `ss -H …` in lines. */
export const ss = (path: string, ...args: string[]): string[] =>
  run(path, 'ss', '-H', ...args)
    .split('\n')
    .filter(Boolean);
