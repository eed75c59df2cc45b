import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { AgentConfig } from '../agent/config.ts';
import type { DnsConfig } from '../dns/config.ts';
import { UsageError } from '../lab/config.ts';
import { type ControlMessage, readControlConfig, startControl } from '../lab/control.ts';
import { LabNames } from '../lab/names.ts';
import type { RunnerConfig } from '../runner/config.ts';

// Each of these imports what it runs only when it runs it: a process holds no more than it needs.
const agent = daemon('agent', 'program this node, and answer the CNI executable', async (config: AgentConfig) =>
  (await import('../agent/index.ts')).startAgent(config),
);
const dns = daemon('dns', 'answer the cluster DNS address on this node', async (config: DnsConfig) =>
  (await import('../dns/index.ts')).startDns(config),
);
const runner = daemon("lab-runner", "run the pods of one of the lab's nodes", async (config: RunnerConfig) =>
  (await import('../runner/index.ts')).startRunner(config),
);

/** `podnet agent`, `podnet dns` and the runner of the lab. */
export const daemonCommands = (): { command: Command; hidden: boolean }[] => [
  { command: agent, hidden: false },
  { command: dns, hidden: false },
  { command: runner, hidden: true },
];

/** The control process of a lab; `podnet lab up` starts it. */
export function controlCommand(): Command {
  return new Command('control').requiredOption('--name <lab>').action(async ({ name }: { name: string }) => {
    const names = new LabNames(name);
    process.title = `podnet control ${name}`;
    const tell = (message: ControlMessage): void => void process.send?.(message);
    const log = (line: string): void => console.error(`${new Date().toISOString()} ${line}`);
    try {
      const end = await startControl(names, readControlConfig(names), tell, log);
      untilSignal(end);
    } catch (error) {
      tell({ type: 'failed', message: (error as Error).message });
      throw error;
    }
  });
}

function daemon<C>(name: string, description: string, start: (config: C) => Promise<{ close(): Promise<void> }>): Command {
  return new Command(name)
    .description(description)
    .requiredOption('--config <file>', 'its configuration, JSON')
    .action(async ({ config }: { config: string }) => {
      process.title = `podnet ${name}`;
      const running = await start(readConfig(config) as C);
      untilSignal(() => running.close());
    });
}

function readConfig(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read the configuration ${file}: ${(error as Error).message}`);
  }
}

/** Ends in order on SIGTERM or SIGINT, and at once on the second. */
function untilSignal(end: () => Promise<void>): void {
  let ending = false;
  const onSignal = (): void => {
    if (ending) process.exit(1);
    ending = true;
    end().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}
