import { setTimeout as sleep } from 'node:timers/promises';
import { loadAverage } from '../machine.ts';
import { tell } from '../progress.ts';
import type { Load, Outcome } from './asker.ts';
import type { Kind } from './questions.ts';
import type { Server } from './servers/server.ts';
import type { Stage } from './stage.ts';

/** highest: as many as it answers. fixed: `fixedPerSecond`. half: half of what it answers at most. */
export type What = 'highest' | 'fixed' | 'half';

/** One server, asked in one way for a moment. */
export interface Sample extends Outcome {
  server: string;
  kind: Kind;
  what: What;
  round: number;
  /** Of its processor's time, for each answer. */
  cpuUs: number;
  /** Part of the time that it had a processor. */
  busy: number;
  loadAverage: number;
}

export interface MeasureOptions {
  stage: Stage;
  rounds: number;
  /** How long each measurement takes. */
  seconds: number;
  kinds: readonly Kind[];
  signal: AbortSignal;
}

const fixedPerSecond = 20_000;
/** Questions under way: more than servers take at once, fewer than their buffers hold. */
const underWay = 128;
const restMs = 20;

/** The servers take turns, kind by kind and round by round, beginning with another one each time: a busy minute of the machine falls on all. Round 0 warms up. */
export async function measure({ stage, rounds, seconds, kinds, signal }: MeasureOptions): Promise<Sample[]> {
  const samples: Sample[] = [];
  const { servers } = stage;
  for (let round = 0; round <= rounds; round++) {
    for (const server of servers) server.look();
    const turn = async (server: Server, kind: Kind, what: What, load: Load): Promise<Sample | undefined> => {
      if (!server.kinds.includes(kind)) return undefined;
      const sample = await one(stage, server, kind, what, round, load);
      if (round > 0) samples.push(sample);
      await sleep(restMs);
      signal.throwIfAborted();
      return sample;
    };
    const inTurn = Array.from(servers, (_, i) => servers[(i + round) % servers.length]!);
    for (const kind of kinds) for (const server of inTurn) await turn(server, kind, 'highest', { mode: 'closed', underWay, seconds });
    // Times are few thousand: more of them.
    for (const server of inTurn) await turn(server, 'mix', 'fixed', { mode: 'open', perSecond: fixedPerSecond, seconds: 2 * seconds });
    for (const server of inTurn) {
      const highest = samples.findLast((sample) => sample.server === server.id && sample.kind === 'mix' && sample.what === 'highest');
      if (highest) await turn(server, 'mix', 'half', { mode: 'open', perSecond: Math.round(highest.perSecond / 2), seconds });
    }
    tell(`round ${round} of ${rounds}: ${summary(samples, round)}`);
  }
  return samples;
}

async function one({ loader }: Stage, server: Server, kind: Kind, what: What, round: number, load: Load): Promise<Sample> {
  server.check();
  const { id, address, port, judged } = server;
  const before = server.cpuUs;
  const outcome = await loader.ask({ address, port, kind, judged, load });
  const cpu = server.cpuUs - before;
  return {
    ...{ server: id, kind, what, round, ...outcome },
    ...{ cpuUs: cpu / Math.max(1, outcome.answered), busy: cpu / 1e6 / outcome.seconds, loadAverage: loadAverage() },
  };
}

const summary = (samples: readonly Sample[], round: number): string =>
  samples
    .filter((sample) => sample.round === round && sample.kind === 'mix' && sample.what === 'highest')
    .map(({ server, perSecond, cpuUs }) => `${server} ${(perSecond / 1000).toFixed(0)} k/s ${cpuUs.toFixed(1)} us`)
    .join(', ');
