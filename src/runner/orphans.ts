import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type PodRecord, startTicksOf } from './state.ts';

/** SIGKILL needs no longer, unless a process hangs in the kernel. */
const endMs = 5000;
const lookMs = 10;

/**
 * Ends what an earlier runner started and left: containers, what was executed in them and beside stand-ins. They are known by the network
 * namespace of a pod and a pid namespace that is not ours, so that also what was started in the moment of the kill is found; with the node's
 * own network by their recorded pids and the lab's mark in their environment. Nothing else is touched.
 * @returns how many there were; fulfilled when they are gone, their ports and mounts with them
 */
export async function endOrphans(records: readonly PodRecord[], nodeNetns: string): Promise<number> {
  const isOrphan = orphanTest(records, nodeNetns);
  const orphans = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(isOrphan);
  for (const pid of orphans) kill(pid);
  for (const end = Date.now() + endMs; orphans.some(isOrphan) && Date.now() < end; ) await sleep(lookMs);
  return orphans.length;
}

function orphanTest(records: readonly PodRecord[], nodeNetns: string): (pid: number) => boolean {
  const ofPods = new Set(records.filter(({ hostNetwork }) => !hostNetwork).map(({ netns }) => inode(netns)));
  ofPods.delete(undefined);
  const ofNode = inode(nodeNetns);
  const ownPids = inode('/proc/self/ns/pid');
  const recorded = new Map(
    records.flatMap(({ containers }) => Object.values(containers).map(({ pid, startTicks }) => [pid, startTicks] as const)),
  );
  const lab = process.env.PODNET_LAB;
  return (pid) => {
    // A process that has ended and only waits to be reaped has none.
    const network = inode(`/proc/${pid}/ns/net`);
    if (network === undefined || inode(`/proc/${pid}/ns/pid`) === ownPids) return false;
    if (ofPods.has(network)) return true;
    const ticks = recorded.get(pid);
    if (ticks !== undefined && ticks === startTicksOf(pid)) return true;
    return lab !== undefined && network === ofNode && isMarked(pid, `PODNET_LAB=${lab}`);
  };
}

/** Which file of which file system; undefined: there is none. */
function inode(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function isMarked(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark);
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
