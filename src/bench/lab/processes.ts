import { readdirSync, readFileSync } from 'node:fs';

/** Costs of one process, from proc(5). */
export interface ProcessCost {
  /** e.g. `agent`: the name of the record without the node; `containers` for what a runner started, `dns workers` for what a DNS did. */
  role: string;
  pid: number;
  /** Proportional set size: pages that several processes share are counted once over all of them. */
  pssMb: number;
  rssMb: number;
  /** User and system time since its start. */
  cpuSeconds: number;
}

const ticksPerSecond = 100; // USER_HZ, the unit of /proc/PID/stat on every architecture

/** Every process of a running lab: those with a record in `pids/`, and whatever these have started. */
export function processCosts(pidsDir: string): ProcessCost[] {
  const roles = new Map(
    readdirSync(pidsDir).map((name) => [
      Number(readFileSync(`${pidsDir}/${name}`, 'utf8').split(' ')[0]),
      /(agent|dns|lab-runner|control)$/.exec(name)?.[1] ?? name,
    ]),
  );
  const parents = new Map(processes().map((pid) => [pid, Number(statOf(pid)?.[1])]));
  /** Of the recorded process that it descends from. */
  const above = (pid: number): string | undefined => {
    const parent = parents.get(pid);
    return parent === undefined ? undefined : (roles.get(parent) ?? above(parent));
  };
  const roleBelow = (role: string | undefined): string | undefined => role && (role === 'dns' ? 'dns workers' : 'containers');
  return [...parents.keys()].flatMap((pid) => {
    const role = roles.get(pid) ?? roleBelow(above(pid));
    return role === undefined ? [] : (costOf(pid, role) ?? []);
  });
}

function costOf(pid: number, role: string): ProcessCost | undefined {
  const stat = statOf(pid);
  try {
    const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const mb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) / 1024;
    if (stat) return { role, pid, pssMb: mb('Pss'), rssMb: mb('Rss'), cpuSeconds: (Number(stat[11]) + Number(stat[12])) / ticksPerSecond };
  } catch {
    // It has ended meanwhile.
  }
  return undefined;
}

const processes = (): number[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);

/** Fields of /proc/PID/stat from the third on (state); the name before them may hold anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
