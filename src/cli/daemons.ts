import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { AgentConfig } from '../agent/config.ts';
import type { DnsConfig } from '../dns/config.ts';
import { UsageError } from '../lab/errors.ts';
import type { RunnerConfig } from '../runner/config.ts';
import type { CommandLoader } from './commands.ts';
import { untilSignal } from './until-signal.ts';

/** `podnet agent`, `podnet dns` and the runner of the lab: each told by a JSON file, each running until a signal. */
export const daemons: Readonly<Record<string, CommandLoader>> = {
  agent: daemon('agent', 'program this node, and answer the CNI executable', async (config: AgentConfig) =>
    (await import('../agent/index.ts')).startAgent(config),
  ),
  dns: daemon('dns', 'answer the cluster DNS address on this node', async (config: DnsConfig) =>
    (await import('../dns/index.ts')).startDns(config),
  ),
  'lab-runner': {
    ...daemon('lab-runner', "run the pods of one of the lab's nodes", async (config: RunnerConfig) =>
      (await import('../runner/index.ts')).startRunner(config),
    ),
    hidden: true,
  },
};

function daemon<C>(name: string, description: string, start: (config: C) => Promise<{ close(): Promise<void> }>): CommandLoader {
  const command = new Command(name)
    .description(description)
    .requiredOption('--config <file>', 'its configuration, JSON')
    .action(async ({ config }: { config: string }) => {
      process.title = `podnet ${name}`;
      const running = await start(readConfig(config) as C);
      untilSignal(() => running.close());
    });
  return { load: async () => command };
}

function readConfig(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read the configuration ${file}: ${(error as Error).message}`);
  }
}
