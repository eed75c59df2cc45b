import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * The next message of a process that was started with IPC.
 * @param who names it in errors, `the agent`
 * @param log its output, told when it ends without an answer
 * @throws Error when it ends before, or says nothing for so long
 */
export function nextMessage(
  child: ChildProcess,
  { who, log, longestMs }: { who: string; log: string; longestMs: number },
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      child.off('exit', onExit);
      child.off('message', onMessage);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      done();
      reject(new Error(`${who} ended with ${code ?? signal}:\n${readFileSync(log, 'utf8')}`));
    };
    const onMessage = (message: unknown): void => {
      done();
      resolve(message);
    };
    const timer = setTimeout(() => {
      done();
      reject(new Error(`no answer of ${who} for ${longestMs / 1000} s`));
    }, longestMs);
    child.once('exit', onExit);
    child.once('message', onMessage);
  });
}
