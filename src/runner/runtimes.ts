import type { RunnerConfig } from './config.ts';
import type { ContainerRuntime } from './container.ts';
import { LogWriter } from './logs/writer.ts';
import { createStandInRuntime } from './stand-ins/index.ts';

export type Runtimes = Partial<Record<'process', ContainerRuntime>> & Record<'stand-in', ContainerRuntime>;

/** The runtimes of a lab node. */
export function defaultRuntimes(_config: RunnerConfig): Runtimes {
  return {
    'stand-in': createStandInRuntime({
      openLog: ({ logPath }) => {
        // The same writer as for processes, so that a log can be followed.
        const writer = new LogWriter(logPath);
        return { write: (stream, line) => writer.write(stream, `${line}\n`), close: () => writer.close() };
      },
    }),
  };
}
