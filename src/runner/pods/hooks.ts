import type { LifecycleHandler } from '../../kube/types.ts';
import type { RunningContainer } from '../container.ts';
import type { ProbeTarget } from '../probes/index.ts';
import type { ProbeOnce } from './context.ts';

/** Runs a command in the container to its end. @returns its exit code and the beginning of its output */
export async function execToEnd(
  running: RunningContainer,
  command: readonly string[],
  timeoutMs?: number,
): Promise<{ code: number; output: string }> {
  const process = await running.exec(command, false);
  let output = '';
  for (const stream of [process.stdout, process.stderr])
    stream
      ?.on('error', () => {})
      .on('data', (chunk: Buffer) => {
        if (output.length < 4096) output += chunk.toString();
      });
  process.stdin?.on('error', () => {}).end();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => process.kill(), timeoutMs);
  try {
    const { code } = await process.exit;
    return { code, output: output.trim() };
  } finally {
    clearTimeout(timer);
  }
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
