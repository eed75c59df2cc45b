import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { UsageError } from '../lab/errors.ts';
import { AskError, findEnds, findTargets, podsCalled } from '../policy/ask.ts';
import { check } from '../policy/check.ts';
import { isClusterDns } from '../policy/cluster-dns.ts';
import { explainPod } from '../policy/explain.ts';
import { matrixOf } from '../policy/matrix.ts';
import type { PacketProtocol } from '../policy/packet.ts';
import { exitCodes } from './errors.ts';
import { printable, printParts, Style } from './output.ts';
import { denialsCommand } from './policy-denials.ts';
import { matrixCsv, matrixJson, matrixText } from './policy-matrix.ts';
import { inventoryOf, type ObjectSource, warningsOf } from './policy-objects.ts';
import { answerData, answersText, explanationData, explanationText } from './policy-text.ts';

interface Common extends ObjectSource {
  namespace?: string;
  color: boolean;
}

interface CheckOptions extends Common {
  from: string;
  to: string;
  protocol: string;
  output: 'table' | 'json' | 'yaml';
}

interface ExplainOptions extends Common {
  output: 'table' | 'json' | 'yaml';
}

interface MatrixOptions extends Common {
  nodes?: boolean;
  output: 'table' | 'csv' | 'json';
}

/** `podnet policy`: what policies mean, from the objects alone. */
export function policyCommand(): Command {
  return new Command('policy')
    .description(
      'what network policies mean: check a connection, explain a pod, show who may talk to whom; from manifests, or of a lab',
    )
    .addCommand(checkCommand())
    .addCommand(explainCommand())
    .addCommand(matrixCommand())
    .addCommand(denialsCommand())
    .addHelpText('after', whence);
}

/** For every command that reads objects. */
export const whence = `
With -f the objects come from manifests: Pods and what makes them (Deployments, StatefulSets, ...), Namespaces, Nodes, Services, and policies:
NetworkPolicy, ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy. That needs neither a cluster nor root. Cluster DNS, kube-system/kube-dns, is taken to be there.
Also what a cluster holds: kubectl get pods,svc,netpol,ns,nodes -A -o json | podnet policy matrix -f -
Of several objects of one kind, namespace and name the last one counts; without a namespace they are in "default"; folders in a folder are not looked into.`;

const withObjects = (command: Command): Command =>
  command
    .option(
      '-f, --files <path>',
      'manifests: a file, a folder, or - for standard input; may be repeated: nothing else is asked, and nobody needs to be root',
      collect,
    )
    .option('--lab <lab>', 'name of the lab whose objects are read, without -f', 'demo')
    .option('--no-color', 'plain text');

/** An option that may stand several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

const formats = (...choices: string[]): Option =>
  new Option('-o, --output <format>', 'how to print').choices(choices).default('table');

const exitCodesOfReading = 'Exit code 0: it is told. 2: what is named is not there, or a manifest cannot be read.';

function checkCommand(): Command {
  return withObjects(
    new Command('check')
      .description('whether a connection is allowed, and the very policy, rule and peer that says so')
      .requiredOption('--from <end>', 'who opens it: NAMESPACE/POD or NAMESPACE/WORKLOAD, node/NAME, or an address')
      .requiredOption(
        '--to <end>',
        'where to: NAMESPACE/POD:PORT, svc/NAMESPACE/NAME:PORT, node/NAME:PORT, ADDRESS:PORT; a port is a number or a name',
      ),
  )
    .option('-n, --namespace <namespace>', 'of what is named without one', 'default')
    .addOption(
      new Option('--protocol <protocol>', 'of the connection; icmp is a ping and has no port')
        .choices(['tcp', 'udp', 'sctp', 'icmp'])
        .default('tcp'),
    )
    .addOption(formats('table', 'json', 'yaml'))
    .addHelpText(
      'after',
      `${whence}\n\nExit code 0: allowed, replies too. 1: denied, for some of the pods at least. 2: something that is named is not there, or a manifest cannot be read.`,
    )
    .action(runCheck);
}

async function runCheck({
  from,
  to,
  namespace = 'default',
  protocol: given,
  output,
  color,
  ...source
}: CheckOptions): Promise<void> {
  const inventory = await inventoryOf(source);
  const protocol = given.toUpperCase() as PacketProtocol;
  const ends = asked(() => ({ from: findEnds(inventory, from, namespace), to: findTargets(inventory, to, protocol, namespace) }));
  const answers = check(inventory.world, ends.from, ends.to, protocol);
  if (answers.length === 0) throw new UsageError(`${from} and ${to} have no address family in common, or are the same pod`);
  warn(warningsOf(inventory));
  const data = { protocol, allowed: answers.every(({ verdict }) => verdict.allowed), connections: answers.map(answerData) };
  print(output, data, () => answersText(answers, protocol, Style.of(process.stdout, !color)));
  if (!data.allowed) process.exitCode = exitCodes.failed;
}

function explainCommand(): Command {
  return withObjects(
    new Command('explain')
      .description('what isolates a pod, who may reach it and whom it may reach, and why')
      .argument('<pod>', 'NAMESPACE/POD, or NAMESPACE/WORKLOAD for the first of its pods'),
  )
    .option('-n, --namespace <namespace>', 'of a pod that is named without one', 'default')
    .addOption(formats('table', 'json', 'yaml'))
    .addHelpText('after', `${whence}\n\n${exitCodesOfReading}`)
    .action(runExplain);
}

async function runExplain(name: string, { namespace = 'default', output, color, ...source }: ExplainOptions): Promise<void> {
  const inventory = await inventoryOf(source);
  const [inNamespace = '', podName = '', ...more] = name.includes('/') ? name.split('/') : [namespace, name];
  if (more.length > 0 || inNamespace === 'node')
    throw new UsageError(`"${name}" is no pod; write NAMESPACE/POD, or NAMESPACE/WORKLOAD for the first of its pods`);
  const pods = podsCalled(
    inventory.world.pods.filter((one) => one.namespace === inNamespace),
    podName,
  );
  if (pods.length === 0) asked(() => findEnds(inventory, `${inNamespace}/${podName}`, namespace));
  warn(warningsOf(inventory));
  const explanation = explainPod(inventory.world, pods[0]!);
  print(output, explanationData(explanation), () =>
    explanationText(explanation, pods.length - 1, Style.of(process.stdout, !color)),
  );
}

function matrixCommand(): Command {
  return withObjects(
    new Command('matrix').description('who may talk to whom on which ports: every pair of workloads, and the outside'),
  )
    .option('-n, --namespace <namespace>', 'only pods of this namespace, cluster DNS, and the outside')
    .option('--nodes', 'also nodes; a pod and its own node are left out: nothing keeps them apart')
    .addOption(formats('table', 'csv', 'json'))
    .addHelpText('after', `${whence}\n\n${exitCodesOfReading}`)
    .action(runMatrix);
}

async function runMatrix({ namespace, nodes = false, output, color, ...source }: MatrixOptions): Promise<void> {
  const inventory = await inventoryOf(source);
  if (namespace !== undefined && !inventory.world.pods.some((pod) => pod.namespace === namespace))
    throw new UsageError(`there are no pods in namespace ${namespace}`);
  warn(warningsOf(inventory));
  if (inventory.world.pods.every(isClusterDns)) warn(['there are neither pods nor what makes them (Deployments, ...): no policy is about anybody']);
  const matrix = matrixOf(inventory.world, { ...(namespace === undefined ? {} : { namespace }), nodes });
  if (output === 'json') await printParts(matrixJson(matrix));
  else if (output === 'csv') await printParts(matrixCsv(matrix));
  else if (matrix.ends.length > widestGrid)
    throw new UsageError(
      `${matrix.ends.length} ends are too many for a grid; narrow it with -n NAMESPACE, or list every pair with -o csv`,
    );
  else console.log(matrixText(matrix, Style.of(process.stdout, !color)));
}

/** Columns that somebody may still read. */
const widestGrid = 100;

/** What was named and is not there is the user's mistake. */
export function asked<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (error instanceof AskError) throw new UsageError(error.message);
    throw error;
  }
}

/** On standard error: the output stays what it is. */
export function warn(texts: readonly string[]): void {
  for (const text of texts) console.error(`podnet: ${printable(text)}`);
}

export function print(output: string, data: object, text: () => string): void {
  if (output === 'json') console.log(JSON.stringify(data, undefined, 2));
  else if (output === 'yaml') process.stdout.write(stringify(data, { aliasDuplicateObjects: false }));
  else console.log(text());
}
