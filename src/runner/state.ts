import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ContainerStateTerminated } from '../kube/types.ts';
import type { PodBandwidth } from './sandbox/bandwidth.ts';
import type { PortMapping } from './sandbox/port-mappings.ts';

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
  /** What ADD was asked for, for DEL. */
  portMappings?: readonly PortMapping[];
  bandwidth?: PodBandwidth;
  containers: Record<string, ContainerRecord>;
}

/** A line of the journal: what is known of a pod from now on; without a record nothing. */
interface Entry {
  uid: string;
  record?: PodRecord;
}

/** The journal is written anew when it has become this long. */
const compactBytes = 8 * 1024 * 1024;

/**
 * What is known of the node's pods, in `stateDir/pods.journal`, and their folders, `stateDir/pods/UID/`. A line for each change, written at once:
 * a kill loses nothing and a new line costs one system call, however many files the disk is busy with.
 */
export class StateStore implements Disposable {
  readonly #dir: string;
  readonly #journal: string;
  readonly #records = new Map<string, string>();
  /** Undefined once disposed: containers that outlive the runner are not its own to write about. */
  #fd: number | undefined;
  #length = 0;

  constructor(stateDir: string) {
    this.#dir = join(stateDir, 'pods');
    this.#journal = join(stateDir, 'pods.journal');
    mkdirSync(this.#dir, { recursive: true, mode: 0o755 });
    for (const { uid, record } of readEntries(this.#journal))
      if (record) this.#records.set(uid, lineOf({ uid, record }));
      else this.#records.delete(uid);
    this.#fd = this.#compact();
  }

  podDir(uid: string): string {
    return join(this.#dir, uid);
  }

  save(record: PodRecord): void {
    const { uid } = record;
    const line = lineOf({ uid, record });
    this.#records.set(uid, line);
    this.#append(line);
  }

  /** With the pod's folder. */
  remove(uid: string): void {
    rmSync(this.podDir(uid), { recursive: true, force: true });
    this.#records.delete(uid);
    this.#append(lineOf({ uid }));
  }

  /** A folder without a record holds no sandbox, since the record is written first: it is removed. */
  load(): PodRecord[] {
    for (const uid of readdirSync(this.#dir))
      if (!this.#records.has(uid)) rmSync(this.podDir(uid), { recursive: true, force: true });
    return [...this.#records.values()].map((line) => (JSON.parse(line) as Required<Entry>).record);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #append(line: string): void {
    if (this.#fd === undefined) return;
    this.#length += writeSync(this.#fd, line);
    if (this.#length <= compactBytes) return;
    closeSync(this.#fd);
    this.#fd = this.#compact();
  }

  /** By rename, so that a kill in the middle leaves the old or the new. @returns the descriptor for what follows */
  #compact(): number {
    const draft = `${this.#journal}.new`;
    writeFileSync(draft, [...this.#records.values()].join(''), { mode: 0o600 });
    renameSync(draft, this.#journal);
    this.#length = 0;
    return openSync(this.#journal, 'a');
  }
}

const lineOf = (entry: Entry): string => `${JSON.stringify(entry)}\n`;

/** Without the end of a line that was being written when the machine stopped. */
function readEntries(journal: string): Entry[] {
  if (!existsSync(journal)) return [];
  return readFileSync(journal, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as Entry];
      } catch {
        return [];
      }
    });
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
