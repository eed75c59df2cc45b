import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerStateTerminated } from '../kube/types.ts';

/** What a restarted runner must know of a container. */
export interface ContainerRecord {
  id: string;
  restartCount: number;
  /** Of a process: with its start time, since the number may belong to another process by now. */
  pid?: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  startTicks?: string;
  /** How it ended, when it has. */
  terminated?: ContainerStateTerminated;
}

/** What a restarted runner must know of a pod. */
export interface PodRecord {
  uid: string;
  namespace: string;
  name: string;
  sandboxId: string;
  netns: string;
  hostNetwork: boolean;
  /** Empty until ADD has answered. */
  podIPs: string[];
  /** The raw answer of ADD, for DEL. */
  cniResult?: unknown;
  containers: Record<string, ContainerRecord>;
}

/** The pods' folders: `stateDir/pods/UID/` with `pod.json` and everything of the pod. */
export class StateStore {
  readonly #dir: string;

  constructor(stateDir: string) {
    this.#dir = join(stateDir, 'pods');
    mkdirSync(this.#dir, { recursive: true, mode: 0o755 });
  }

  podDir(uid: string): string {
    return join(this.#dir, uid);
  }

  /** By rename, so that a kill in the middle leaves the old or the new. */
  save(record: PodRecord): void {
    const dir = this.podDir(record.uid);
    mkdirSync(dir, { recursive: true });
    const file = join(dir, 'pod.json');
    writeFileSync(`${file}.tmp`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }

  remove(uid: string): void {
    rmSync(this.podDir(uid), { recursive: true, force: true });
  }

  /** A folder without a readable record holds no sandbox, since the record is written first: it is removed. */
  load(): PodRecord[] {
    const records: PodRecord[] = [];
    for (const uid of readdirSync(this.#dir)) {
      try {
        records.push(JSON.parse(readFileSync(join(this.#dir, uid, 'pod.json'), 'utf8')) as PodRecord);
      } catch {
        this.remove(uid);
      }
    }
    return records;
  }
}

/** When a process started, or undefined when there is none. */
export function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold spaces: field 3 stands behind the last ")".
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** Ends what an earlier runner started and left, and only that. */
export function killOrphan({ pid, startTicks }: ContainerRecord): void {
  if (pid === undefined || startTicks === undefined || startTicksOf(pid) !== startTicks) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
