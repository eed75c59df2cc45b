import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { LabConfig } from './config.ts';
import { startControlPlane } from './control-plane.ts';
import type { LabNames } from './names.ts';
import { nodeProcesses } from './node-config.ts';
import { processOf, recordProcess } from './processes.ts';
import { writeState } from './state.ts';
import { Supervisor } from './supervisor.ts';
import { topology } from './topology.ts';

/** What the control process tells whoever started it, over the channel of `child_process.fork`. */
export type ControlMessage = { type: 'api'; port: number } | { type: 'started' } | { type: 'failed'; message: string };

/**
 * The control process of a lab, in the host's namespaces: API server, controllers, and the supervisor of the nodes' processes. The underlay is there
 * already.
 * @returns a function that ends it and everything it started; namespaces and files are `takeDown`'s
 */
export async function startControl(
  names: LabNames,
  config: LabConfig,
  tell: (message: ControlMessage) => void,
  log: (line: string) => void,
): Promise<() => Promise<void>> {
  recordProcess(names.pidsDir, 'control', processOf(process.pid)!);
  const plan = topology(config);
  const plane = await startControlPlane(names, config, plan, log);
  writeState(names, { version: 1, config, apiPort: plane.port, createdAt: new Date().toISOString() });
  tell({ type: 'api', port: plane.port });
  const supervisor = new Supervisor(names, log);
  for (const node of plan.nodes) {
    const paths = names.node(node.name);
    mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
    plane.writeNodeKubeconfig(node.name);
    const processes = nodeProcesses(names, config, plan, node, `/proc/${process.pid}/ns/net`);
    for (const [command, content] of Object.entries(processes)) {
      const file = paths.path(`${command}.json`);
      writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
      supervisor.start({ name: `${node.name}-${command}`, args: [command, '--config', file], netns: paths.netns });
    }
  }
  tell({ type: 'started' });
  return async () => {
    await supervisor.end(1500);
    await plane.close();
  };
}

/** The configuration that `up` left for the control process. */
export const readControlConfig = (names: LabNames): LabConfig =>
  JSON.parse(readFileSync(names.controlConfig, 'utf8')) as LabConfig;
