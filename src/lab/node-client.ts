import { request } from 'node:http';
import type { AgentStatus } from '../agent/status.ts';
import type { RunnerPod } from '../runner/config.ts';

/** What the runner of a node says of its pods. @throws Error when it does not answer */
export const podsOf = (socketPath: string, timeoutMs?: number): Promise<RunnerPod[]> =>
  getJson('runner', socketPath, '/pods', timeoutMs);

/** What the agent of a node says of itself. @throws Error when it does not answer */
export const agentStatusOf = (socketPath: string, timeoutMs?: number): Promise<AgentStatus> =>
  getJson('agent', socketPath, '/status', timeoutMs);

function getJson<T>(who: string, socketPath: string, path: string, timeoutMs = 5000): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`the ${who} behind ${socketPath} ${why}`));
    const call = request({ socketPath, path, agent: false, timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode !== 200) return fail(`answers ${response.statusCode}: ${text.slice(0, 200)}`);
        resolve(JSON.parse(text) as T);
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    call.on('error', (error) => fail(`does not answer: ${error.message}`));
    call.end();
  });
}
