import { mkdirSync, writeFileSync } from 'node:fs';
import { thisMachine } from '../machine.ts';
import { withScratch } from '../scratch.ts';
import { measure } from './measure.ts';
import { pictureOf } from './picture.ts';
import { measureProgramming } from './programming.ts';
import type { ProgrammingResult } from './programming-load.ts';
import { type Kind, kindNames } from './questions.ts';
import { type MemoryRow, reportOf, textOf } from './report.ts';
import { letFirst } from './servers/server.ts';
import { Stage, type SubjectName, subjectNames } from './stage.ts';

export interface DnsBenchOptions {
  rounds: number;
  /** How long each measurement takes. */
  seconds: number;
  services: number;
  pods: boolean;
  only?: SubjectName[];
  kinds?: Kind[];
  output: 'table' | 'json';
  json?: boolean;
}

/** `npm run bench -- dns`. @returns whether every figure that must be shown was */
export function benchDns({ rounds, seconds, services, pods, only = [...subjectNames], kinds = kindNames, output, json }: DnsBenchOptions): Promise<boolean> {
  return withScratch(async ({ directory, signal }) => {
    await using stage = await Stage.open({ directory, services, pods, only, signal });
    const samples = await measure({ stage, rounds, seconds, kinds, signal });
    const programming = await programmingOf(stage, services, signal);
    const report = reportOf({
      ...{ machine: thisMachine(), services, samples, memory: memoryOf(stage), missing: stage.missing },
      ...{ programming, only, kinds },
    });
    mkdirSync('bench/results', { recursive: true });
    writeFileSync('bench/results/dns.svg', pictureOf(report));
    console.log(json || output === 'json' ? JSON.stringify(report, undefined, 2) : `\n${textOf(report)}`);
    return report.ok;
  });
}

/** The API server, and who waits for the new answers, are in this process. */
async function programmingOf(stage: Stage, services: number, signal: AbortSignal): Promise<ProgrammingResult | undefined> {
  const back = letFirst(process.pid);
  try {
    return await measureProgramming({ stage, services, signal });
  } finally {
    back();
  }
}

function memoryOf({ servers }: Stage): MemoryRow[] {
  return servers.map((server) => {
    server.look();
    const { memory } = server;
    const sum = (of: (one: (typeof memory)[number]) => number): number => memory.reduce((all, one) => all + of(one), 0);
    return { server: server.id, title: server.title, processes: memory.length, pssMb: sum(({ pssMb }) => pssMb), rssMb: sum(({ rssMb }) => rssMb) };
  });
}
