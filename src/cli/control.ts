import { Command } from 'commander';
import { type ControlMessage, readControlConfig, startControl } from '../lab/control.ts';
import { LabNames } from '../lab/names.ts';
import { untilSignal } from './until-signal.ts';

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
