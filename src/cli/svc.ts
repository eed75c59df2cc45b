import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { ServiceList, ServiceReport } from '../agent/services/report.ts';
import { UsageError } from '../lab/errors.ts';
import { ipamOf, podsOf, serviceOf, servicesOf } from '../lab/node-client.ts';
import { AnswerError } from '../unix/http.ts';
import { exitCodes, requireRoot } from './errors.ts';
import { outputFormats, Style } from './output.ts';
import { runningLab } from './running-lab.ts';
import { listText } from './svc-list.ts';
import { reportText } from './svc-text.ts';

interface SvcOptions {
  namespace?: string;
  node?: string;
  lab: string;
  socket?: string;
  output: (typeof outputFormats)[number];
  color: boolean;
}

/** Where to ask: the agents, and for each what tells which pod has which address. */
interface Asked {
  sockets: string[];
  pods: () => Promise<Map<string, string>>;
}

/** `podnet svc`: what clients of a node meet at a Service, address by address, and why. */
export function svcCommand(): Command {
  return new Command('svc')
    .description(
      'what a client on a node meets at a Service: endpoints chosen and why others are not, kernel elements, connections',
    )
    .argument('[name]', 'the Service; without it, a line for each')
    .option('-n, --namespace <namespace>', 'its namespace (default: "default"; of the list: all)')
    .option('--node <node>', 'as this node serves it (default: the first, with a line for each other)')
    .option('--lab <lab>', 'name of the lab', 'demo')
    .option('--socket <file>', "the status socket of a node's agent, instead of a lab's")
    .addOption(new Option('-o, --output <format>', 'how to print').choices(outputFormats).default('table'))
    .option('--no-color', 'plain text')
    .action((name: string | undefined, options: SvcOptions) => (name === undefined ? list(options) : explain(name, options)));
}

async function list(options: SvcOptions): Promise<void> {
  const { sockets } = ask(options);
  const answer = await servicesOf(sockets[0]!).catch((error: Error) => console.error(`podnet: ${error.message}`));
  if (!answer) return void (process.exitCode = exitCodes.failed);
  const { node, services } = answer;
  const { namespace } = options;
  const shown = services
    .filter((one) => namespace === undefined || one.namespace === namespace)
    .sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name));
  const found: ServiceList = { node, services: shown };
  print(options, found, (style) => listText(found, style));
}

async function explain(name: string, options: SvcOptions): Promise<void> {
  const { namespace = 'default' } = options;
  const { sockets, pods } = ask(options);
  const errors: string[] = [];
  const missing: string[] = [];
  const say = (error: Error): undefined => {
    (error instanceof AnswerError && error.code === 404 ? missing : errors).push(error.message);
  };
  const answers = await Promise.all(sockets.map((socket) => serviceOf(socket, namespace, name).catch(say)));
  const reports = answers.filter((report): report is ServiceReport => report !== undefined);
  if (reports.length === 0 && errors.length === 0)
    throw new UsageError(
      `there is no Service ${namespace}/${name} that podnet serves; all that there are: podnet svc${options.lab === 'demo' ? '' : ` --lab ${options.lab}`}`,
    );
  for (const error of [...errors, ...missing]) console.error(`podnet: ${error}`);
  if (reports.length > 0) {
    const names = await pods();
    print(options, { nodes: reports }, (style) => reportText(reports, { wide: options.output === 'wide', pods: names, style }));
  }
  const isHurt = reports.some(({ state, elements }) => state === 'error' || elements.some(({ kernel }) => kernel !== 'held'));
  if (isHurt || errors.length + missing.length > 0) process.exitCode = exitCodes.failed;
}

function print({ output, color }: SvcOptions, data: object, text: (style: Style) => string): void {
  if (output === 'json') console.log(JSON.stringify(data, undefined, 2));
  else if (output === 'yaml') process.stdout.write(stringify(data, { aliasDuplicateObjects: false }));
  else console.log(text(Style.of(process.stdout, !color)));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function ask({ lab, node, socket }: SvcOptions): Asked {
  if (socket !== undefined) {
    requireRoot();
    return { sockets: [socket], pods: () => podsOfNode(socket) };
  }
  const { names, state } = runningLab(lab);
  const nodes = state.config.nodes.map(({ name }) => name);
  if (node !== undefined && !nodes.includes(node))
    throw new UsageError(`the lab "${lab}" has no node "${node}"; it has ${nodes.join(', ')}`);
  return {
    sockets: (node === undefined ? nodes : [node]).map((one) => names.node(one).agentStatusSocket),
    pods: () => podsOfLab(nodes.map((one) => names.node(one).runnerSocket)),
  };
}

/** Names of pods by address, from whoever answers: they are for people, and nothing depends on them. */
async function podsOfLab(runnerSockets: readonly string[]): Promise<Map<string, string>> {
  const pods = (await Promise.all(runnerSockets.map((socket) => podsOf(socket).catch(() => [])))).flat();
  // Those of the host's network share its address.
  const own = pods.filter(({ hostNetwork }) => !hostNetwork);
  return new Map(own.flatMap(({ name, podIPs }) => podIPs.map((address) => [address, name])));
}

async function podsOfNode(statusSocket: string): Promise<Map<string, string>> {
  const entries = await ipamOf(statusSocket).then(
    (report) => report.entries,
    () => [],
  );
  return new Map(
    entries.flatMap(({ pod, addresses }) =>
      addresses.flatMap((address) => (pod ? [[address, pod.slice(pod.indexOf('/') + 1)]] : [])),
    ),
  );
}
