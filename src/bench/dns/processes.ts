import { readdirSync, readFileSync } from 'node:fs';

/** A process and all that it has started. */
export function treeOf(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const below = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(below)];
  return below(root);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

/** Time on a core of all their threads, in microseconds: to the nanosecond, where utime and stime are counted in ticks of 10 ms. */
export function cpuUs(pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids)
    for (const thread of list(`/proc/${pid}/task`)) ns += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]);
  return ns / 1000;
}

export interface Memory {
  pssMb: number;
  rssMb: number;
}

export function memoryOf(pid: number): Memory {
  const text = read(`/proc/${pid}/smaps_rollup`);
  const mb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024;
  return { pssMb: mb('Pss'), rssMb: mb('Rss') };
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
