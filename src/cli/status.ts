import { Command, Option } from 'commander';
import type { AgentStatus } from '../agent/status.ts';
import { Services } from '../kube/resources.ts';
import type { Service } from '../kube/types.ts';
import type { LabNames } from '../lab/names.ts';
import { agentStatusOf, podsOf } from '../lab/node-client.ts';
import { recordedProcesses } from '../lab/processes.ts';
import { topology } from '../lab/topology.ts';
import { adminClient } from '../lab/up.ts';
import type { RunnerPod } from '../runner/config.ts';
import { type AnnouncedAddress, announcedAddresses } from './announced.ts';
import { exitCodes } from './errors.ts';
import { printable, Style, table } from './output.ts';
import { policyLines } from './policy-lines.ts';
import { runningLab } from './running-lab.ts';

interface LabStatus {
  lab: string;
  /** The control process: the API and its controllers. */
  control: number | undefined;
  nodes: NodeStatus[];
  /** Addresses of load balancers; absent without the API. */
  loadBalancers?: AnnouncedAddress[];
  /** Of the lab as a whole. */
  problems: string[];
}

interface NodeStatus {
  name: string;
  addresses: string[];
  /** Which of the node's processes live. */
  processes: Record<string, number | undefined>;
  pods: RunnerPod[];
  /** Packets that were dropped at the pods' door and at the tunnel's, by reason. */
  dropped?: Record<string, number>;
  /** Addresses of load balancers that it answers ARP and ND for. */
  announced: string[];
  /** Milliseconds from a change of endpoints to the kernel. */
  programming?: AgentStatus['programming'];
  /** Policies as its agent sees them. */
  policy?: AgentStatus['policy'];
  problems: string[];
  /** What may be meant so: nothing to fail for. */
  warnings: string[];
}

/** `podnet status`: nodes with their processes, and what runs for each container: the image itself or a stand-in. */
export function statusCommand(): Command {
  return new Command('status')
    .description('nodes and pods of a lab, and what runs for each image; exit code 1 when something is wrong')
    .option('--name, --lab <lab>', 'name of the lab', 'demo')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--no-color', 'plain text')
    .action(async ({ lab, output, color }: { lab: string; output: string; color: boolean }) => {
      const status = await statusOf(lab);
      if (output === 'json') console.log(JSON.stringify(status, undefined, 2));
      else print(status, Style.of(process.stdout, !color));
      if ([status, ...status.nodes].some(({ problems }) => problems.length > 0)) process.exitCode = exitCodes.failed;
    });
}

async function statusOf(lab: string): Promise<LabStatus> {
  const { names, state } = runningLab(lab);
  const recorded = recordedProcesses(names.pidsDir);
  const control = recorded.get('control')?.pid;
  const api: ReturnType<typeof askApi> =
    control === undefined ? Promise.resolve({ problems: [controlGone(lab)] }) : askApi(names);
  const nodes = await Promise.all(
    topology(state.config).nodes.map(async ({ name, interfaces }) => {
      const processes = Object.fromEntries(
        ['agent', 'dns', 'lab-runner'].map((process) => [process, recorded.get(`${name}-${process}`)?.pid]),
      );
      const missing = Object.keys(processes).filter((process) => processes[process] === undefined);
      const problems = missing.length > 0 ? [`not running: ${missing.join(', ')}`] : [];
      const say = (error: Error): undefined => void problems.push(error.message);
      const { runnerSocket, agentStatusSocket } = names.node(name);
      const pods = (await podsOf(runnerSocket).catch(say)) ?? [];
      const agent = await agentStatusOf(agentStatusSocket).catch(say);
      if (agent) problems.push(...problemsOf(agent));
      return {
        name,
        addresses: interfaces.map(({ address }) => String(address)),
        processes,
        pods,
        ...(agent ? { dropped: agent.door, policy: agent.policy } : {}),
        announced: agent?.announced ?? [],
        ...(agent?.programming ? { programming: agent.programming } : {}),
        problems,
        warnings: agent?.warnings ?? [],
      };
    }),
  );
  const { problems, services } = await api;
  return { lab, control, nodes, ...(services ? { loadBalancers: announcedAddresses(services, nodes) } : {}), problems };
}

const controlGone = (lab: string): string =>
  `the control process is not running, and the API is gone with it; pods and their network go on as they are. End the lab with: podnet lab down --name ${lab}`;

async function askApi(names: LabNames): Promise<{ problems: string[]; services?: readonly Service[] }> {
  try {
    using client = adminClient(names, 5000);
    return { problems: [], services: (await client.list(Services)).items };
  } catch (error) {
    return { problems: [`the API does not answer: ${(error as Error).message}`] };
  }
}

function problemsOf({ ready, why, reconciler, dnsAnswered, problems }: AgentStatus): string[] {
  const errors = reconciler.errors.map((error) => `${error.owner}: ${error.why}`);
  const dns = dnsAnswered === false ? ['its DNS does not answer'] : [];
  return [...(ready ? [] : [`pods cannot be attached: ${why}`]), ...dns, ...errors, ...problems];
}

function print({ nodes, loadBalancers = [], problems }: LabStatus, style: Style): void {
  for (const problem of problems) console.log(`${style.paint('red', printable(problem))}\n`);
  const nodeRows = nodes.map(({ name, addresses, pods, problems }) => [
    name,
    addresses.join(','),
    String(pods.length),
    problems.length > 0 ? style.paint('red', printable(problems.join('; '))) : style.paint('green', 'ok'),
  ]);
  console.log(`${table(['NODE', 'ADDRESS', 'PODS', 'STATE'], nodeRows, [2])}\n`);
  const policies = policyLines(nodes);
  if (policies.summary !== undefined) console.log(`${policies.summary}\n`);
  const warnings = [
    ...nodes.flatMap(({ name, warnings: texts }) => texts.map((text) => `${name}: ${text}`)),
    ...policies.warnings,
  ];
  for (const warning of warnings) console.log(`${style.paint('yellow', 'warning')} ${printable(warning)}\n`);
  if (loadBalancers.length > 0) {
    const rows = loadBalancers.map(({ address, service, by, why }) => [
      address,
      printable(service),
      why === undefined ? by.join(',') : style.paint('yellow', `nobody: ${why}`),
    ]);
    console.log(`${table(['LOAD BALANCER', 'SERVICE', 'ANNOUNCED BY'], rows)}\n`);
  }
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
  if (podRows.length === 0) {
    console.log('no pods');
    return;
  }
  console.log(table(['NAMESPACE', 'POD', 'NODE', 'IP', 'CONTAINER', 'RUNS AS', 'STATE', 'IMAGE'], podRows));
  if (podRows.some((row) => row[5]!.includes('stand-in')))
    console.log(
      '\nA stand-in listens on the ports that its container declares; nothing was pulled. Map the image to something local to run it for real.',
    );
}
