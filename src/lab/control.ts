import { mkdirSync, writeFileSync } from 'node:fs';
import { ApiEndpoint } from './api-endpoint.ts';
import type { LabConfig } from './config.ts';
import { hostResolvConf } from './host-resolv-conf.ts';
import { LabNames } from './names.ts';
import { nodeProcesses } from './node-config.ts';
import { processOf, recordProcess } from './processes.ts';
import { writeState } from './state.ts';
import { Supervisor } from './supervisor.ts';
import { topology } from './topology.ts';

/** What the control process tells whoever started it, over the channel of `child_process.fork`. */
export type ControlMessage = { type: 'api'; port: number } | { type: 'started' } | { type: 'failed'; message: string };

/**
 * The control process of a lab, in the host's namespaces: API server, controllers, and the supervisor of the nodes' processes. The underlay is there
 * already. Closing it ends everything it started; namespaces and files are `takeDown`'s.
 */
export async function startControl(
  config: LabConfig,
  tell: (message: ControlMessage) => void,
  log: (line: string) => void,
): Promise<{ close(): Promise<void> }> {
  const names = new LabNames(config.name);
  recordProcess(names.pidsDir, 'control', processOf(process.pid)!);
  const plan = topology(config);
  const endpoint = new ApiEndpoint(names, config, plan);
  const supervisor = new Supervisor(names, log);
  const host = { netns: `/proc/${process.pid}/ns/net`, resolvConf: hostResolvConf() };
  for (const node of plan.nodes) {
    const paths = names.node(node.name);
    mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
    endpoint.writeNodeKubeconfig(node.name);
    const processes = nodeProcesses(names, config, plan, node, host);
    for (const [command, content] of Object.entries(processes)) {
      const file = paths.path(`${command}.json`);
      writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
      supervisor.start({ name: `${node.name}-${command}`, args: [command, '--config', file], netns: paths.netns });
    }
  }
  tell({ type: 'started' });
  // Loaded while the nodes' processes load what they need: the API is up before these ask it.
  const { startControlPlane } = await import('./control-plane.ts');
  const plane = await startControlPlane(names, config, plan, endpoint, log);
  writeState(names, { version: 1, config, apiPort: plane.port, createdAt: new Date().toISOString() });
  tell({ type: 'api', port: plane.port });
  return {
    async close() {
      await supervisor.end(1500);
      await plane.close();
    },
  };
}
