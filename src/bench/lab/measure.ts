import { setTimeout as sleep } from 'node:timers/promises';
import { loadAverage } from '../machine.ts';
import { labDir, podnet, remainsOf } from './podnet.ts';
import { type ProcessCost, processCosts } from './processes.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/** One lab, from `up` to `down`. */
export interface Sample {
  scenario: Scenario['id'];
  round: number;
  upMs: number;
  downMs: number;
  /** When `up` had ended. */
  processes: ProcessCost[];
  loadAverage: number;
}

const restMs = 2000;

export interface MeasureOptions {
  rounds: number;
  /** Ends the measurement; no lab stays. */
  signal: AbortSignal;
  onSample(sample: Sample): void;
}

/** Runs the scenarios in turn, round by round, so that a busy minute of the machine falls on all of them. */
export async function measure({ rounds, signal, onSample }: MeasureOptions): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const scenario of scenarios) {
      // The kernel takes the namespaces of the lab before apart in the background, for seconds after its end.
      await sleep(restMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      const sample = { scenario: scenario.id, round, loadAverage: loadAverage(), ...(await once(scenario, signal)) };
      samples.push(sample);
      onSample(sample);
    }
  }
  return samples;
}

async function once(scenario: Scenario, signal: AbortSignal): Promise<Pick<Sample, 'upMs' | 'downMs' | 'processes'>> {
  const lab = `bench${process.pid}`;
  const down = (): Promise<number> => podnet(['lab', 'down', '--name', lab]);
  try {
    const upMs = await podnet(['lab', 'up', '--name', lab, '--no-color', ...scenario.up], signal);
    const processes = processCosts(`${labDir(lab)}/pids`);
    return { upMs, processes, downMs: await down() };
  } finally {
    if (remainsOf(lab).length > 0) await down();
    const left = remainsOf(lab);
    // biome-ignore lint/correctness/noUnsafeFinally: what is left behind is the worst that can be told
    if (left.length > 0) throw new Error(`podnet lab down left behind: ${left.join(', ')}`);
  }
}
