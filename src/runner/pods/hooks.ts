import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifecycleHandler } from '../../kube/types.ts';
import type { RunningContainer } from '../container.ts';
import type { ProbeTarget } from '../probes/index.ts';
import type { ProbeOnce } from './context.ts';

/** A child that the command left behind may hold its output open for ever. */
const lastWordsMs = 1000;

/** Runs a command in the container to its end. @returns its exit code and the beginning of its output */
export async function execToEnd(
  running: RunningContainer,
  command: readonly string[],
  timeoutMs?: number,
): Promise<{ code: number; output: string }> {
  const process = await running.exec(command, false);
  let output = '';
  const ends = [process.stdout, process.stderr].map((stream) =>
    readToEnd(stream, (chunk) => {
      if (output.length < 4096) output += chunk.toString();
    }),
  );
  process.stdin?.on('error', () => {}).end();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => process.kill(), timeoutMs);
  try {
    const { code } = await process.exit;
    // What it wrote last may still be on its way here.
    const late = new AbortController();
    await Promise.race([Promise.all(ends), sleep(lastWordsMs, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
    return { code, output: output.trim() };
  } finally {
    clearTimeout(timer);
  }
}

function readToEnd(stream: Readable | undefined, take: (chunk: Buffer) => void): Promise<void> {
  if (!stream) return Promise.resolve();
  return new Promise((resolve) => {
    stream
      .on('error', () => resolve())
      .on('data', take)
      .once('end', resolve)
      .once('close', resolve);
  });
}

/** postStart or preStop. @throws Error when it fails */
export async function runHook(
  hook: LifecycleHandler,
  running: RunningContainer,
  target: ProbeTarget,
  probe: ProbeOnce,
): Promise<void> {
  if (hook.sleep) await new Promise((resolve) => setTimeout(resolve, (hook.sleep?.seconds ?? 0) * 1000));
  else if (hook.exec) {
    if (running.answersExecProbe) return;
    const { code, output } = await execToEnd(running, hook.exec.command ?? []);
    if (code !== 0) throw new Error(`command ${JSON.stringify(hook.exec.command)} exited with ${code}: ${output}`);
  } else if (hook.httpGet || hook.tcpSocket) {
    const { result, message } = await probe({ httpGet: hook.httpGet, tcpSocket: hook.tcpSocket, timeoutSeconds: 30 }, target);
    if (result !== 'success') throw new Error(message);
  }
}
