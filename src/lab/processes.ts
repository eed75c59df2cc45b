import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process, told apart from a later one with the same number by its start time. */
export interface ProcessId {
  pid: number;
  /** Clock ticks after boot: field 22 of /proc/PID/stat, proc(5). */
  startTicks: number;
}

/** The process with this number, or undefined when there is none or only its zombie. */
export function processOf(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command name stands in parentheses and may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : { pid, startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

export const isAlive = (id: ProcessId): boolean => processOf(id.pid)?.startTicks === id.startTicks;

/** Written by name so that `down` finds every process of the lab, whoever else has died. */
export function recordProcess(pidsDir: string, name: string, id: ProcessId): void {
  mkdirSync(pidsDir, { recursive: true, mode: 0o700 });
  writeFileSync(join(pidsDir, name), `${id.pid} ${id.startTicks}\n`, { mode: 0o600 });
}

export function forgetProcess(pidsDir: string, name: string): void {
  rmSync(join(pidsDir, name), { force: true });
}

/** The recorded processes that still live. A record that cannot be read, or goes meanwhile, names no process and is skipped. */
export function recordedProcesses(pidsDir: string): Map<string, ProcessId> {
  const found = new Map<string, ProcessId>();
  for (const name of namesIn(pidsDir)) {
    const [pid, startTicks] = textOf(join(pidsDir, name)).trim().split(' ').map(Number);
    const id = { pid: pid ?? Number.NaN, startTicks: startTicks ?? Number.NaN };
    if (isAlive(id)) found.set(name, id);
  }
  return found;
}

/**
 * Every live process that stands in one of the network namespaces or carries the environment variable: what is left of a lab even
 * when all of its records are gone. The calling process is never among them.
 * @param netnsFiles bind mounts of the namespaces; those that are gone or hold none are skipped
 * @param marker e.g. `PODNET_LAB=demo`, matched as a whole variable
 */
export function processesOfLab(netnsFiles: readonly string[], marker: string): ProcessId[] {
  const inodes = new Set(netnsFiles.map(namespaceInode).filter((inode) => inode !== undefined));
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => inodes.has(netnsOf(pid) ?? -1n) || hasVariable(pid, marker))
    .map((pid) => processOf(Number(pid)))
    .filter((id) => id !== undefined);
}

/**
 * Ends processes: SIGTERM, then SIGKILL after the grace.
 * @returns those that live on even so (in uninterruptible sleep)
 */
export async function endProcesses(ids: readonly ProcessId[], graceMs: number): Promise<ProcessId[]> {
  signal(ids, 'SIGTERM');
  const stubborn = await remaining(ids, graceMs);
  signal(stubborn, 'SIGKILL');
  return remaining(stubborn, 5000);
}

function signal(ids: readonly ProcessId[], name: NodeJS.Signals): void {
  for (const id of ids.filter(isAlive)) {
    try {
      process.kill(id.pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

async function remaining(ids: readonly ProcessId[], timeoutMs: number): Promise<ProcessId[]> {
  const deadline = performance.now() + timeoutMs;
  let left = ids.filter(isAlive);
  while (left.length && performance.now() < deadline) {
    await sleep(5);
    left = left.filter(isAlive);
  }
  return left;
}

function namespaceInode(file: string): bigint | undefined {
  try {
    return statSync(file, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}

function netnsOf(pid: string): bigint | undefined {
  try {
    const inode = /^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1];
    return inode === undefined ? undefined : BigInt(inode);
  } catch {
    return undefined;
  }
}

function hasVariable(pid: string, marker: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(marker);
  } catch {
    return false;
  }
}

/** Empty when there is no such file any more. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
