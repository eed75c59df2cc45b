import { request } from 'node:http';
import type { RunnerPod } from '../runner/config.ts';

/** What the runner of a node says of its pods. @throws Error when it does not answer */
export function podsOf(socketPath: string, timeoutMs = 5000): Promise<RunnerPod[]> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`the runner behind ${socketPath} ${why}`));
    const call = request({ socketPath, path: '/pods', agent: false, timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode !== 200) return fail(`answers ${response.statusCode}: ${text.slice(0, 200)}`);
        resolve(JSON.parse(text) as RunnerPod[]);
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    call.on('error', (error) => fail(`does not answer: ${error.message}`));
    call.end();
  });
}
