import { Command, Option } from 'commander';
import { UsageError } from '../lab/config.ts';
import { faultOfLabName, LabNames } from '../lab/names.ts';
import { recordedProcesses } from '../lab/processes.ts';
import { podsOf } from '../lab/runner-client.ts';
import { readState } from '../lab/state.ts';
import { topology } from '../lab/topology.ts';
import type { RunnerPod } from '../runner/config.ts';
import { exitCodes, requireRoot } from './errors.ts';
import { printable, Style, table } from './output.ts';

interface NodeStatus {
  name: string;
  addresses: string[];
  /** Which of the node's processes live. */
  processes: Record<string, number | undefined>;
  pods: RunnerPod[];
  problem?: string;
}

/** `podnet status`: nodes with their processes, and what runs for each container: the image itself or a stand-in. */
export function statusCommand(): Command {
  return new Command('status')
    .description('nodes and pods of a lab, and what runs for each image; exit code 1 when a process is missing')
    .option('--name <lab>', 'name of the lab', 'demo')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--no-color', 'plain text')
    .action(async ({ name, output, color }: { name: string; output: string; color: boolean }) => {
      const nodes = await statusOf(name);
      if (output === 'json') console.log(JSON.stringify({ lab: name, nodes }, undefined, 2));
      else print(nodes, Style.of(process.stdout, !color));
      if (nodes.some(({ problem }) => problem !== undefined)) process.exitCode = exitCodes.failed;
    });
}

async function statusOf(lab: string): Promise<NodeStatus[]> {
  const fault = faultOfLabName(lab);
  if (fault) throw new UsageError(fault);
  requireRoot();
  const names = new LabNames(lab);
  const state = readState(names);
  if (!state) throw new UsageError(`no lab "${lab}" is there; make it with: podnet lab up --name ${lab}`);
  const recorded = recordedProcesses(names.pidsDir);
  return Promise.all(
    topology(state.config).nodes.map(async ({ name, interfaces }) => {
      const processes = Object.fromEntries(
        ['agent', 'dns', 'lab-runner'].map((process) => [process, recorded.get(`${name}-${process}`)?.pid]),
      );
      const missing = Object.keys(processes).filter((process) => processes[process] === undefined);
      const node = { name, addresses: interfaces.map(({ address }) => String(address)), processes };
      try {
        const pods = await podsOf(names.node(name).runnerSocket);
        return { ...node, pods, ...(missing.length ? { problem: `not running: ${missing.join(', ')}` } : {}) };
      } catch (error) {
        return { ...node, pods: [], problem: (error as Error).message };
      }
    }),
  );
}

function print(nodes: readonly NodeStatus[], style: Style): void {
  const nodeRows = nodes.map(({ name, addresses, pods, problem }) => [
    name,
    addresses.join(','),
    String(pods.length),
    problem ? style.paint('red', printable(problem)) : style.paint('green', 'ok'),
  ]);
  console.log(`${table(['NODE', 'ADDRESS', 'PODS', 'STATE'], nodeRows, [2])}\n`);
  const podRows = nodes.flatMap((node) =>
    node.pods.flatMap((pod) =>
      pod.containers.map((container) => [
        printable(pod.namespace),
        printable(pod.name),
        node.name,
        pod.podIPs.join(','),
        printable(container.name),
        container.kind === 'stand-in' ? style.paint('yellow', 'stand-in') : 'process',
        container.state,
        printable(container.image),
      ]),
    ),
  );
  if (podRows.length === 0) return console.log('no pods');
  console.log(table(['NAMESPACE', 'POD', 'NODE', 'IP', 'CONTAINER', 'RUNS AS', 'STATE', 'IMAGE'], podRows));
  if (podRows.some((row) => row[5]!.includes('stand-in')))
    console.log('\nA stand-in listens on the ports that its container declares; nothing was pulled. Map the image to something local to run it for real.');
}
