import { mkdirSync, writeFileSync } from 'node:fs';
import { processors, runOn } from '../../kernel/scheduling.ts';
import { loadAverage, thisMachine } from '../machine.ts';
import { withScratch } from '../scratch.ts';
import { allSeries } from './contenders.ts';
import { missingPeers } from './iptables-layout.ts';
import { measureChanges } from './measure-changes.ts';
import { measurePeerChanges } from './peer-changes.ts';
import { pictureOf } from './picture.ts';
import { reportOf, textOf } from './report.ts';
import { measureTraffic, type TrafficSample } from './traffic.ts';

export interface PolicyBenchOptions {
  /** Turns of each node for each kind of transaction. */
  turns: number;
  /** Changes of each kind. */
  events: number;
  /** The most policies. */
  policies: number;
  output: 'table' | 'json';
  json?: boolean;
}

/** `npm run bench -- policy`. @returns whether every figure that must be shown was */
export function benchPolicy({ turns, events, policies: most, output, json }: PolicyBenchOptions): Promise<boolean> {
  return withScratch(async ({ directory, signal }) => {
    const all = processors();
    const loadAverages = [loadAverage()];
    const missing = missingPeers();
    const peers = missing.length > 0 ? [] : await measurePeerChanges(directory, events, signal);
    runOn(all.slice(0, 1));
    const traffic: TrafficSample[] = [];
    for (const series of allSeries(most, missing.length === 0)) traffic.push(...(await measureTraffic(series, { directory, turns, signal })));
    runOn(all);
    loadAverages.push(loadAverage());
    const { loaded, changes } = most >= 1000 ? await measureChanges(directory, events, signal) : { loaded: undefined, changes: [] };
    const report = reportOf({ machine: thisMachine(), loadAverages, traffic, loaded, changes, peers, missing, most });
    mkdirSync('bench/results', { recursive: true });
    writeFileSync('bench/results/policy.svg', pictureOf(report));
    console.log(json || output === 'json' ? JSON.stringify(report, undefined, 2) : `\n${textOf(report)}`);
    return report.ok;
  });
}
