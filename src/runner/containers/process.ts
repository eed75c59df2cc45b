import { constants } from 'node:os';
import { PassThrough, Readable } from 'node:stream';
import { ExecutableError, type SpawnedProcess } from '../../kernel/spawn.ts';
import type { ContainerProcess } from '../streams/backend.ts';

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number as number, name]));

export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

/** A process of its own, as exec offers it to a client. */
function asContainerProcess(spawned: SpawnedProcess): ContainerProcess {
  const { pid, stdin, stdout, stderr, exit } = spawned;
  let ended = false;
  void exit.then(() => {
    ended = true;
    stdin?.destroy();
  });
  return {
    stdin,
    stdout,
    stderr,
    resize: spawned.resize,
    exit: exit.then(({ code, signal }) => ({ code, signal: signal === undefined ? undefined : signalNames.get(signal) })),
    // The pid is free for others once the process has been waited for.
    kill: () => {
      if (!ended) signalProcess(pid, 'SIGKILL');
    },
  };
}

/** What a client of exec sees when the program cannot be run: runc's words and a shell's exit code. */
function failedProcess(error: ExecutableError, tty: boolean): ContainerProcess {
  const text = `OCI runtime exec failed: exec failed: unable to start container process: ${error.message}\n`;
  const words = Readable.from([Buffer.from(tty ? text.replace('\n', '\r\n') : text)], { objectMode: false });
  return {
    stdin: new PassThrough().resume(),
    stdout: tty ? words : Readable.from([]),
    stderr: tty ? undefined : words,
    resize: () => {},
    exit: Promise.resolve({ code: error.exitCode }),
    kill: () => {},
  };
}

/** Starts, and turns a missing program into an answer instead of an error. @throws KernelError */
export async function execOrExplain(start: () => SpawnedProcess, tty: boolean): Promise<ContainerProcess> {
  try {
    const spawned = start();
    await spawned.started;
    return asContainerProcess(spawned);
  } catch (error) {
    if (error instanceof ExecutableError) return failedProcess(error, tty);
    throw error;
  }
}
