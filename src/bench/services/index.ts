import { mkdirSync, writeFileSync } from 'node:fs';
import { thisMachine } from '../machine.ts';
import { withScratch } from '../scratch.ts';
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
export function benchServices({ rounds, events, services: most, output, json }: ServicesBenchOptions): Promise<boolean> {
  return withScratch(async ({ directory, signal }) => {
    const measured = await measureAgents({ directory, rounds, events, most, signal });
    const peers = await measurePeers(directory, rounds, most, signal);
    const traffic = await measureTraffic({ directory, blocks: 20 * rounds, most, signal });
    const report = reportOf({ machine: thisMachine(), measured, peers, missing: missingPeers(), traffic, most });
    mkdirSync('bench/results', { recursive: true });
    writeFileSync('bench/results/services.svg', pictureOf(report));
    console.log(json || output === 'json' ? JSON.stringify(report, undefined, 2) : `\n${textOf(report)}`);
    return report.ok;
  });
}
