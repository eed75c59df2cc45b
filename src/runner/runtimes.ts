import { join } from 'node:path';
import type { RunnerConfig } from './config.ts';
import type { ContainerRuntime } from './container.ts';
import { createProcessRuntime, execTool } from './containers/index.ts';
import { busybox, chooseImage } from './images.ts';
import { LogWriter } from './logs/writer.ts';
import { createStandInRuntime } from './stand-ins/index.ts';

export type Runtimes = Record<'process' | 'stand-in', ContainerRuntime>;

/**
 * Stand-ins that are told to end go on taking connections for so long, as servers do that drain: other nodes need to hear of it first. The grace of the pod
 * limits it, so that `--grace-period=1` ends one sooner.
 */
const drainMs = 5000;

/** The runtimes of a lab node. */
export function defaultRuntimes(config: RunnerConfig): Runtimes {
  const layersDir = join(config.stateDir, 'layers');
  return {
    process: createProcessRuntime({
      layersDir,
      resolve: (image) => {
        const choice = chooseImage(image, config.images);
        return choice.kind === 'process' ? choice.mapping : undefined;
      },
    }),
    'stand-in': createStandInRuntime({
      openLog: ({ logPath }) => {
        // The same writer as for processes, so that a log can be followed.
        const writer = new LogWriter(logPath);
        return { write: (stream, line) => writer.write(stream, `${line}\n`), close: () => writer.close() };
      },
      drainMs,
      exec: (spec, command, tty) => execTool(spec, command, tty, { busybox, layersDir, dir: spec.dir }),
    }),
  };
}
