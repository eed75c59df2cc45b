import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { mount, mountFlags, unmount } from '../kernel/mounts.ts';
import { KubeClient } from '../kube/client.ts';
import type { LabConfig } from './config.ts';
import type { ControlMessage } from './control.ts';
import { labEnvironment } from './environment.ts';
import { LabError, UsageError } from './errors.ts';
import { type LabNames, labsDir } from './names.ts';
import { recordedProcesses } from './processes.ts';
import { removeState } from './state.ts';
import { podnetExecutable } from './supervisor.ts';

/**
 * Takes the lab's name: its folder is made here and nowhere else, so that of two that start at the same time one is refused.
 * @throws UsageError when the lab is there
 */
export function claim(names: LabNames, config: LabConfig): void {
  makeFolder(names);
  try {
    mountState(names.dir);
    mkdirSync(dirname(names.log('control')), { recursive: true, mode: 0o700 });
    writeFileSync(names.controlConfig, JSON.stringify(config), { mode: 0o600 });
  } catch (error) {
    unmount(names.dir);
    removeState(names);
    throw error;
  }
}

function makeFolder(names: LabNames): void {
  for (let tries = 0; ; tries++) {
    mkdirSync(labsDir, { recursive: true, mode: 0o755 });
    try {
      mkdirSync(names.dir, { mode: 0o700 });
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another lab was the last one, and took the folder of all labs away this moment.
      if (code === 'ENOENT' && tries < 10) continue;
      if (code !== 'EEXIST') {
        removeState(names);
        throw error;
      }
    }
    const running = recordedProcesses(names.pidsDir).has('control');
    const state = running ? 'runs already' : 'is there already, and its control process is not running';
    throw new UsageError(
      `lab "${names.lab}" ${state}; end it with: podnet lab down --name ${names.lab}, or start another with --name`,
    );
  }
}

/**
 * A lab's files live in memory, on a file system of their own: the lab must be fast where /run is a disk, its CNI executable must run where /run is
 * mounted noexec (as Debian does), and `down` takes thousands of files away with one unmount.
 */
function mountState(dir: string): void {
  mount('podnet', dir, 'tmpfs', mountFlags.noSuid | mountFlags.noDev, 'mode=0700');
}

export interface Control {
  process: ChildProcess;
  /** Fulfilled when the API answers. */
  api: Promise<void>;
  /** Fulfilled when all processes of the nodes are started. */
  started: Promise<void>;
  /** Rejected with a LabError when the control process ends. */
  ended: Promise<never>;
}

/** Starts the control process in a session of its own: what ends this terminal does not end the lab. */
export function forkControl(names: LabNames): Control {
  const log = openSync(names.log('control'), 'a', 0o600);
  const child = fork(podnetExecutable, ['lab-control', '--config', names.controlConfig], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    env: labEnvironment(names.lab),
  });
  closeSync(log);
  const ended = new Promise<never>((_, reject) => {
    child.once('error', (error) => reject(new LabError(`the control process cannot be started: ${error.message}`)));
    child.once('exit', (code, signal) =>
      reject(new LabError(`the control process ended (${signal ?? `exit code ${code}`}): ${lastLine(names.log('control'))}`)),
    );
  });
  const heard = (type: ControlMessage['type']): Promise<void> =>
    new Promise((resolve, reject) => {
      child.on('message', (message: ControlMessage) => {
        if (message.type === 'failed') reject(new LabError(`the control process failed: ${message.message}`));
        else if (message.type === type) resolve();
      });
    });
  const waitFor = (type: ControlMessage['type']): Promise<void> => Promise.race([heard(type), ended]);
  const control = { process: child, api: waitFor('api'), started: waitFor('started'), ended };
  // Whoever waits for one of them sees the failure; nobody must wait for both.
  for (const promise of [control.api, control.started, control.ended]) promise.catch(() => {});
  return control;
}

/** Lets go of the control process: it lives on when this one ends. */
export function detach({ process: child }: Control): void {
  if (child.connected) child.disconnect();
  child.unref();
}

/** @param timeoutMs for one answer */
export const adminClient = (names: LabNames, timeoutMs = 60_000): KubeClient =>
  KubeClient.fromKubeconfig(names.kubeconfig, { userAgent: 'podnet', timeoutMs });

/** For messages: what a process said last. */
export function lastLine(file: string): string {
  try {
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    // What node prints last of an exception is its own version.
    const isCrash = /^Node\.js v\d/.test(lines.at(-1) ?? '');
    return (isCrash ? lines.findLast((line) => /^\w*Error\b/.test(line)) : lines.at(-1)) || 'nothing';
  } catch (error) {
    return (error as Error).message;
  }
}
