import { readFileSync } from 'node:fs';
import type { AgentConfig } from '../agent/config.ts';
import type { DnsConfig } from '../dns/config.ts';
import type { LabConfig } from '../lab/config.ts';
import type { ControlMessage } from '../lab/control.ts';
import { EnvironmentError, LabError, UsageError } from '../lab/errors.ts';
import type { RunnerConfig } from '../runner/config.ts';

interface Running {
  close(): Promise<void>;
  /** Fulfilled when it has ended by itself, as it should. */
  readonly ended?: Promise<void>;
  /** Ends this process alone; those that it has started go on. On SIGHUP. */
  leave?(): void;
}

/** A command that runs until a signal, told by a JSON file: `podnet agent --config FILE`. */
export interface Daemon {
  description: string;
  start: (config: unknown) => Promise<Running>;
  /** Started by the lab, not by people. */
  hidden?: boolean;
}

/** Each imports what it runs when it runs it: a process holds no more than it needs. */
export const daemons: ReadonlyMap<string, Daemon> = new Map<string, Daemon>([
  [
    'agent',
    {
      description: 'program this node, and answer the CNI executable',
      start: async (config) => (await import('../agent/index.ts')).startAgent(config as AgentConfig),
    },
  ],
  [
    'dns',
    {
      description: 'answer the cluster DNS address on this node',
      start: async (config) => {
        const { startKeeper } = await import('../dns/process/keeper.ts');
        return startKeeper(config as DnsConfig).catch(dnsFailed);
      },
    },
  ],
  [
    'lab-runner',
    {
      description: "run the pods of one of the lab's nodes",
      start: async (config) => (await import('../runner/index.ts')).startRunner(config as RunnerConfig),
      hidden: true,
    },
  ],
  ['lab-control', { description: 'the control plane of a lab', start: (config) => control(config as LabConfig), hidden: true }],
]);

/** Runs the daemon until SIGTERM or SIGINT. @throws UsageError for a configuration that cannot be read, and what the daemon's start throws */
export async function runDaemon(name: string, { start }: Daemon, configFile: string): Promise<void> {
  process.title = `podnet ${name}`;
  const running = await start(readConfig(configFile)).catch(unstarted);
  untilSignal(() => running.close());
  void running.ended?.then(() => process.exit(0));
  if (running.leave) process.on('SIGHUP', () => running.leave!());
}

/** A kubeconfig is a part of what a person has configured. */
async function unstarted(error: unknown): Promise<never> {
  const { KubeconfigError } = await import('../kube/kubeconfig.ts');
  throw error instanceof KubeconfigError ? new UsageError(error.message) : error;
}

function dnsFailed(error: Error & { errno?: unknown }): never {
  if (error instanceof SyntaxError) throw new UsageError(error.message);
  if (error.name === 'FirstWorkerError') throw new LabError(error.message);
  if (error.errno === 'EADDRINUSE')
    throw new EnvironmentError(error.message, 'end what listens there (ss -lntup shows it); a podnet dns with the same runDir hands its sockets over by itself');
  throw error;
}

async function control(config: LabConfig): Promise<Running> {
  const { startControl } = await import('../lab/control.ts');
  const tell = (message: ControlMessage): void => void process.send?.(message);
  try {
    return await startControl(config, tell, (line) => console.error(`${new Date().toISOString()} ${line}`));
  } catch (error) {
    tell({ type: 'failed', message: (error as Error).message });
    throw error;
  }
}

function readConfig(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read the configuration ${file}: ${(error as Error).message}`);
  }
}

/** Ends in order on the first signal, at once on the second. */
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
