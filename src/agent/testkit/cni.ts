import { spawn } from 'node:child_process';

export interface CniCall {
  command: string;
  containerId?: string;
  netns?: string;
  ifname?: string;
  /** Joins the configuration on stdin. */
  config?: Record<string, unknown>;
  /** Joins the environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  /** Instead of the configuration. */
  stdin?: string;
}

export interface CniAnswer {
  code: number | null;
  /** Parsed from stdout; {} when it printed nothing. */
  json: Record<string, unknown>;
}

/** Starts the executable as a runtime does: all in the environment, the configuration on stdin. */
export function callCni(
  file: string,
  { command, containerId, netns, ifname = 'eth0', config = {}, env: more = {}, stdin }: CniCall,
): Promise<CniAnswer> {
  const env: Record<string, string | undefined> = { CNI_COMMAND: command, CNI_PATH: '/opt/cni/bin' };
  if (containerId !== undefined) Object.assign(env, { CNI_CONTAINERID: containerId, CNI_IFNAME: ifname });
  if (netns !== undefined) env.CNI_NETNS = netns;
  Object.assign(env, more);
  const child = spawn(file, [], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin ?? JSON.stringify({ cniVersion: '1.1.0', name: 'podnet', type: 'podnet', ...config }));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, json: text.trim() === '' ? {} : (JSON.parse(text) as Record<string, unknown>) }));
  });
}
