import { readFileSync } from 'node:fs';
import { unmount } from '../kernel/mounts.ts';
import { labMarker } from './environment.ts';
import type { LabNames } from './names.ts';
import { endProcesses, type ProcessId, processesOfLab, recordedProcesses } from './processes.ts';
import { removeState } from './state.ts';
import { namespacesOf, removeNamespaces } from './underlay.ts';

export interface DownResult {
  processes: number;
  namespaces: number;
  /** Could not be ended, even by SIGKILL. */
  left: ProcessId[];
}

/**
 * Ends a lab whatever state it is in: also when its control process or its records are gone. Control ends first, so that it starts nothing
 * again; then every other process; then mounts, namespaces and files. A lab that is not there is success.
 */
export async function takeDown(names: LabNames): Promise<DownResult> {
  const paths = namespacesOf(names);
  const left: ProcessId[] = [];
  const seen = new Set<number>();
  const find = (): ProcessId[] => {
    const found = unique([...recordedProcesses(names.pidsDir).values(), ...processesOfLab(paths, labMarker(names.lab))]).filter(
      ({ pid }) => pid !== process.pid && !left.some((id) => id.pid === pid),
    );
    for (const { pid } of found) seen.add(pid);
    return found;
  };
  find();
  const control = recordedProcesses(names.pidsDir).get('control');
  if (control) left.push(...(await endProcesses([control], 2000)));
  // A process may start another while it is being ended: look until nobody is found.
  for (let round = 0; round < 5; round++) {
    const found = find();
    if (found.length === 0) break;
    left.push(...(await endProcesses(found, 1500)));
  }
  unmountBelow(names.dir);
  removeNamespaces(names);
  removeState(names);
  return { processes: seen.size, namespaces: paths.length, left };
}

const unique = (ids: readonly ProcessId[]): ProcessId[] => [...new Map(ids.map((id) => [id.pid, id])).values()];

/** Whatever is mounted under the lab's folder, the deepest first. */
function unmountBelow(dir: string): void {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .map((point) => point.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
    .filter((point) => point === dir || point.startsWith(`${dir}/`));
  for (const point of points.reverse()) unmount(point);
}
