import { setTimeout } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { type Denial, type DenialList, denialText } from '../agent/policy/denial-book.ts';
import { logDenialsAnnotation } from '../agent/policy/denials.ts';
import { LabError, UsageError } from '../lab/errors.ts';
import { denialsOf } from '../lab/node-client.ts';
import { requireRoot } from './errors.ts';
import { printable, Style } from './output.ts';
import { runningLab } from './running-lab.ts';

interface DenialsOptions {
  follow?: boolean;
  lab: string;
  node?: string;
  socket?: string;
  namespace?: string;
  output: 'table' | 'json';
  color: boolean;
}

/** `podnet policy denials`: what policies denied lately, and which of them. */
export function denialsCommand(): Command {
  return new Command('denials')
    .description('what policies denied to and by pods lately, and the policy that did; of namespaces that ask for it')
    .option('-f, --follow', 'go on, with each that comes; to be ended with Ctrl-C')
    .option('-n, --namespace <namespace>', 'only to or by pods of this namespace')
    .option('--lab <lab>', 'name of the lab', 'demo')
    .option('--node <node>', 'of this node only')
    .option('--socket <file>', "the status socket of a node's agent, instead of a lab's")
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--no-color', 'plain text')
    .addHelpText(
      'after',
      `
A namespace asks for it with the annotation ${logDenialsAnnotation}=true:
  kubectl annotate namespace shop ${logDenialsAnnotation}=true
Agents then log each denial, say it as Events on the pods (kubectl describe pod), and remember the last 500. What is counted are packets that were dropped or reset.`,
    )
    .action(denials);
}

async function denials({ follow = false, ...options }: DenialsOptions): Promise<void> {
  const sockets = socketsOf(options);
  const style = Style.of(process.stdout, !options.color);
  const seen = new Map<string, number>();
  for (let first = true; ; first = false) {
    const answers = await Promise.all(sockets.map(ask));
    const all = answers
      .flatMap(({ node, denials: some }) => some.map((denial) => ({ node, ...denial })))
      .filter(({ from, to }) =>
        [from, to].some((end) => options.namespace === undefined || end.startsWith(`${options.namespace}/`)),
      )
      .sort((a, b) => a.last - b.last);
    const fresh = all.filter((denial) => seen.get(identity(denial)) !== denial.last);
    for (const denial of fresh) seen.set(identity(denial), denial.last);
    if (options.output === 'json' && !follow) return console.log(JSON.stringify({ nodes: answers }, undefined, 2));
    for (const denial of fresh) console.log(options.output === 'json' ? JSON.stringify(denial) : lineOf(denial, style));
    if (first && fresh.length === 0 && answers.every(({ namespaces }) => namespaces.length === 0))
      console.error(
        `podnet: no namespace asks for its denials while policies are in force; say: kubectl annotate namespace NAME ${logDenialsAnnotation}=true`,
      );
    if (!follow) return;
    await setTimeout(1000);
  }
}

const ask = async (socket: string): Promise<DenialList> => {
  try {
    return await denialsOf(socket);
  } catch (error) {
    throw new LabError(`the agent behind ${socket} does not answer: ${(error as Error).message}`);
  }
};

const identity = ({ node, source, destination, protocol, port, why }: Denial & { node: string }): string =>
  JSON.stringify([node, source, destination, protocol, port, why]);

const lineOf = (denial: Denial & { node: string }, style: Style): string =>
  [
    style.paint('dim', new Date(denial.last).toISOString().slice(11, 19)),
    printable(denial.node),
    printable(denialText(denial)),
    style.paint('dim', `${denial.packets}x`),
  ].join('  ');

function socketsOf({ lab, node, socket }: DenialsOptions): string[] {
  if (socket !== undefined) {
    requireRoot();
    return [socket];
  }
  const { names, state } = runningLab(lab);
  const nodes = state.config.nodes.map(({ name }) => name);
  if (node !== undefined && !nodes.includes(node))
    throw new UsageError(`the lab "${lab}" has no node "${node}"; it has ${nodes.join(', ')}`);
  return (node === undefined ? nodes : [node]).map((one) => names.node(one).agentStatusSocket);
}
