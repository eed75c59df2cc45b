import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';

/** What numbers depend on; no name of the machine. */
export interface Machine {
  cores: number;
  processor: string;
  memoryGb: number;
  kernel: string;
  node: string;
}

export const thisMachine = (): Machine => ({
  cores: availableParallelism(),
  processor: /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? process.arch,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
});

/** Processes that ran or wanted to, averaged over the last minute. */
export const loadAverage = (): number => loadavg()[0]!;
