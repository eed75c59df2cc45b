import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { changes, type MachineState, machineState } from '../../testing/machine.ts';
import { labMarker } from '../environment.ts';
import { LabNames } from '../names.ts';
import { type ProcessId, processesOfLab } from '../processes.ts';
import { podnetExecutable } from '../supervisor.ts';
import { namespacesOf } from '../underlay.ts';

export const example = (file: string): string => join(import.meta.dirname, '..', '..', '..', 'examples', file);

export interface Ended {
  /** Exit code; null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs podnet as a person does, to its end and whatever comes of it. */
export function podnet(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { timeout: 180_000, maxBuffer: 1 << 28 };
    const child = execFile(process.execPath, [podnetExecutable, ...args], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

/** @returns what it printed. @throws Error with all of its words when its exit code is not 0 */
export async function succeeds(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await podnet(...args);
  if (code !== 0) throw new Error(`podnet ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** Every process of a lab: podnet's own and those of pods. */
export const processesOf = (names: LabNames): ProcessId[] => processesOfLab(namespacesOf(names), labMarker(names.lab));

/** A lab of this test's own, e.g. `shape2x4711`: labs of other tests may run at the same time. */
export const ownLab = (word: string): LabNames => new LabNames(`${word}x${process.pid}`);

/** What is on this machine of the lab, and the host's own network. */
export const stateOf = ({ lab }: LabNames): MachineState => machineState({ lab });

/** What the lab left behind or took along, in sentences. The kernel takes namespaces and their mounts apart a moment after their last user. */
export async function leftSince(before: MachineState, names: LabNames): Promise<string[]> {
  let left = changes(before, stateOf(names));
  // What was in front may be taking the lab down yet (npm does not wait for it), and thousands of namespaces of others may be before its own.
  for (const end = performance.now() + 60_000; left.length > 0 && performance.now() < end; ) {
    await sleep(100);
    left = changes(before, stateOf(names));
  }
  return left;
}
