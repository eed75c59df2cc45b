import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LabConfig } from './config.ts';
import { type LabNames, labsDir } from './names.ts';

/** `lab.json`: what other commands need to know of a running lab. */
export interface LabState {
  version: 1;
  config: LabConfig;
  /** Port of the API server on the host's loopback. */
  apiPort: number;
  createdAt: string;
}

/** Written whole or not at all: a reader never sees half of it. */
export function writeState(names: LabNames, state: LabState): void {
  mkdirSync(dirname(names.file), { recursive: true, mode: 0o700 });
  const draft = `${names.file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, names.file);
}

/**
 * @returns undefined when there is no such lab, or one whose start never came so far
 * @throws SyntaxError when the file is damaged or of another version; `down` works all the same
 */
export function readState(names: LabNames): LabState | undefined {
  let text: string;
  try {
    text = readFileSync(names.file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const state = parse(text);
  if (state?.version !== 1)
    throw new SyntaxError(`${names.file} was not written by this version of podnet; run: podnet lab down --name ${names.lab}`);
  return state;
}

function parse(text: string): LabState | undefined {
  try {
    return JSON.parse(text) as LabState;
  } catch {
    return undefined;
  }
}

/** Names of the labs that have left anything in the state folder, running or dead. */
export function knownLabs(): string[] {
  try {
    return readdirSync(labsDir).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Takes the lab's folder away, and the folder of all labs with the last one. */
export function removeState(names: LabNames): void {
  rmSync(names.dir, { recursive: true, force: true });
  try {
    rmdirSync(labsDir);
  } catch (error) {
    // Another lab is there, perhaps since this very moment.
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
