import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { mount, mountFlags, unmount } from '../../kernel/mounts.ts';
import { thisMachine } from '../machine.ts';
import { measureAgents } from './measure.ts';
import { measurePeers, missingPeers } from './peers.ts';
import { pictureOf } from './picture.ts';
import { reportOf, textOf } from './report.ts';
import { measureTraffic } from './traffic.ts';

export interface ServicesBenchOptions {
  rounds: number;
  /** Changes of each kind in a round. */
  events: number;
  /** The most Services. */
  services: number;
  output: 'table' | 'json';
  json?: boolean;
}

/** `npm run bench -- services`. @returns whether every figure that must be shown was */
export async function benchServices({ rounds, events, services: most, output, json }: ServicesBenchOptions): Promise<boolean> {
  const interrupt = new AbortController();
  const { signal } = interrupt;
  const stop = (): void => interrupt.abort(new Error('interrupted; nothing was left behind'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  const directory = mkdtempSync(`${tmpdir()}/podnet-bench-`);
  try {
    mount('podnet-bench', directory, 'tmpfs', mountFlags.noSuid | mountFlags.noDev, 'mode=0700');
    const measured = await measureAgents({ directory, rounds, events, most, signal });
    const peers = await measurePeers(directory, rounds, most, signal);
    const traffic = await measureTraffic({ directory, blocks: 20 * rounds, most, signal });
    const report = reportOf({ machine: thisMachine(), measured, peers, missing: missingPeers(), traffic });
    mkdirSync('bench/results', { recursive: true });
    writeFileSync('bench/results/services.svg', pictureOf(report));
    console.log(json || output === 'json' ? JSON.stringify(report, undefined, 2) : `\n${textOf(report)}`);
    return report.ok;
  } finally {
    unmount(directory);
    rmSync(directory, { recursive: true, force: true });
  }
}
