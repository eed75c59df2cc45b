import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { NetNs } from '../../kernel/netns.ts';
import { tell } from '../progress.ts';
import type { ChangeKind } from './changes.ts';
import { iptablesLayout } from './iptables-layout.ts';
import { nftLayout } from './nft-layout.ts';
import type { Size } from '../objects.ts';
import { sizeName } from './plan.ts';

/** One measurement of a peer, the whole of its command. */
export interface PeerSample {
  peer: string;
  size: Size;
  what: 'load' | ChangeKind;
  ms: number;
}

/** A layout of kube-proxy as text for the command that it runs. */
export interface Layout {
  title: string;
  command: readonly [string, ...string[]];
  /** What a change runs where it is another command. */
  changeCommand: readonly [string, ...string[]];
  load(size: Size): string;
  change(size: Size, kind: ChangeKind, round: number): string;
}

const layouts: readonly Layout[] = [nftLayout, iptablesLayout];
export const missingPeers = (): string[] =>
  layouts.filter(({ command }) => spawnSync(command[0], ['--version']).error !== undefined).map(({ title }) => title);

/** What takes longer is ended, and larger sizes are left out. */
const longestMs = { load: 200_000, change: 60_000 };
/** How often changes are measured at so many Services: kube-proxy's layouts take minutes at 10,000. */
const roundsAt: readonly (readonly [services: number, rounds: number])[] = [
  [100, 5],
  [1000, 2],
  [10_000, 1],
];
class TookTooLong extends Error {}
const order: readonly ChangeKind[] = ['replace', 'scale-up', 'scale-down', 'add', 'remove'];

/** Each in a namespace of its own, 100 Services of ten endpoints and up. */
export async function measurePeers(directory: string, rounds: number, most: number, signal: AbortSignal): Promise<PeerSample[]> {
  const samples: PeerSample[] = [];
  const missing = missingPeers();
  for (const layout of layouts) {
    if (missing.includes(layout.title)) continue;
    for (const [services, mostRounds] of roundsAt) {
      if (services > most) continue;
      let loadMs = Number.POSITIVE_INFINITY;
      try {
        loadMs = measure(layout, { services, endpoints: services * 10 }, `${directory}/peer`, Math.min(rounds, mostRounds), samples);
      } catch (error) {
        if (!(error instanceof TookTooLong)) throw error;
        tell(`${layout.title}, ${services} Services: ${error.message}`);
      }
      await new Promise(setImmediate);
      signal.throwIfAborted();
      // Ten times as many take at least ten times as long.
      if (loadMs * 10 > longestMs.load && services < 10_000) {
        tell(`${layout.title}: larger sizes would take too long, and are left out`);
        break;
      }
    }
  }
  return samples;
}

function measure(layout: Layout, size: Size, path: string, rounds: number, samples: PeerSample[]): number {
  const ns = NetNs.create(path);
  const run = (what: PeerSample['what'], [program, ...args]: readonly [string, ...string[]], text: string): number => {
    writeFileSync(`${path}.txt`, text);
    const timeout = what === 'load' ? longestMs.load : longestMs.change;
    const begin = performance.now();
    const { status, stderr, error } = ns.enter(() =>
      spawnSync('/bin/sh', ['-c', 'exec "$@" < "$0"', `${path}.txt`, program, ...args], { encoding: 'utf8', timeout, killSignal: 'SIGKILL' }),
    ) as { status: number | null; stderr: string; error?: NodeJS.ErrnoException };
    const ms = performance.now() - begin;
    if (error?.code === 'ETIMEDOUT') throw new TookTooLong(`${what} was not done after ${timeout / 1000} s`);
    if (error || status !== 0) throw new Error(`${layout.title}, ${what}: ${error?.message ?? stderr.slice(0, 500)}`);
    samples.push({ peer: layout.title, size, what, ms });
    return ms;
  };
  try {
    const loadMs = run('load', layout.command, layout.load(size));
    tell(`${layout.title}, ${sizeName(size)}: loaded in ${(loadMs / 1000).toFixed(2)} s`);
    for (let round = 0; round < rounds; round++)
      for (const kind of order) run(kind, layout.changeCommand, layout.change(size, kind, round));
    return loadMs;
  } finally {
    ns[Symbol.dispose]();
    NetNs.remove(path);
  }
}
