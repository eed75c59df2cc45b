import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { Explanation } from '../dns/explain/explain.ts';
import type { LogEntry } from '../dns/monitoring/log-tap.ts';
import { UsageError } from '../lab/errors.ts';
import { dnsExplanationOf, dnsLogOf } from '../lab/node-client.ts';
import { AnswerError } from '../unix/http.ts';
import { explanationText, logLine, logWidths } from './dns-text.ts';
import { CheckError, exitCodes, requireRoot } from './errors.ts';
import { printable, Style } from './output.ts';
import { runningLab } from './running-lab.ts';

interface Where {
  lab: string;
  node?: string;
  socket?: string;
}

interface QueryOptions extends Where {
  from?: string;
  namespace: string;
  type: string;
  output: 'table' | 'wide' | 'json' | 'yaml';
  color: boolean;
}

interface LogOptions extends Where {
  follow?: boolean;
  for: string;
  pod?: string;
  namespace?: string;
  name?: string;
  rcode?: string;
  output: 'table' | 'json';
  color: boolean;
}

/** `podnet dns`: the daemon, and what people ask of it. */
export function dnsCommand(description: string, run: (configFile: string) => Promise<void>): Command {
  return new Command('dns')
    .description(`${description}; or ask it: query, log, translate`)
    .option('--config <file>', 'its configuration, JSON')
    .action(async ({ config }: { config?: string }) => {
      if (config === undefined) throw new UsageError('podnet dns needs --config FILE, or one of query, log, translate; podnet dns --help tells more');
      await run(config);
    })
    .addCommand(queryCommand())
    .addCommand(logCommand())
    .addCommand(translateCommand());
}

const where = (command: Command): Command =>
  command
    .option('--lab <lab>', 'name of the lab', 'demo')
    .option('--node <node>', 'ask the DNS of this node')
    .option('--socket <file>', 'the health socket of a DNS process, instead of those of a lab');

function queryCommand(): Command {
  return where(
    new Command('query')
      .description('what a pod gets for a name: the search path tried, which objects, cache or resolver gave each answer, and the time it took')
      .argument('<name>', 'as a program of the pod gives it; with a dot at the end it is whole'),
  )
    .option('--from <pod>', 'the pod that asks; without it the name is whole')
    .option('-n, --namespace <namespace>', "the pod's namespace", 'default')
    .option('--type <types>', 'A, AAAA, SRV, PTR, TXT, ..., with commas between', 'A,AAAA')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'wide', 'json', 'yaml']).default('table'))
    .option('--no-color', 'plain text')
    .addHelpText('after', '\nExit code 1: the name does not resolve.')
    .action(query);
}

async function query(name: string, options: QueryOptions): Promise<void> {
  const nodes = nodesOf(options);
  const { from, namespace, type, output, color } = options;
  const types = type.split(',').filter(Boolean);
  const request = { name, types, ...(from === undefined ? {} : { pod: from.includes('/') ? from : `${namespace}/${from}` }) };
  let explanation = await ask(nodes[0]!.socket, request);
  const own = nodes.find((node) => node.name !== undefined && node.name === explanation.pod?.nodeName);
  // What counts is what the DNS of its own node says: it has that node's cache and resolvers.
  if (own && own !== nodes[0] && options.node === undefined) explanation = await ask(own.socket, request);
  if (output === 'json') console.log(JSON.stringify(explanation, undefined, 2));
  else if (output === 'yaml') process.stdout.write(stringify(explanation));
  else console.log(explanationText(explanation, { wide: output === 'wide', style: Style.of(process.stdout, !color) }));
  if (explanation.found === undefined) process.exitCode = exitCodes.failed;
}

async function ask(socket: string, request: Parameters<typeof dnsExplanationOf>[1]): Promise<Explanation> {
  try {
    return await dnsExplanationOf(socket, request);
  } catch (error) {
    if (error instanceof AnswerError && (error.code === 404 || error.code === 400)) throw new UsageError(error.said);
    throw new CheckError((error as Error).message);
  }
}

function logCommand(): Command {
  return where(new Command('log').description('questions that DNS is asked and its answers, as they come; nothing is noted while nobody reads'))
    .option('-f, --follow', 'until interrupted')
    .option('--for <seconds>', 'how long, without -f', '5')
    .option('--pod <pod>', 'only those of this pod')
    .option('-n, --namespace <namespace>', "the pod's namespace")
    .option('--name <name>', 'only this name and those below it')
    .option('--rcode <code>', 'only answers with this code: NOERROR, NXDOMAIN, SERVFAIL, REFUSED')
    .addOption(new Option('-o, --output <format>', 'how to print; json is a line for each').choices(['table', 'json']).default('table'))
    .option('--no-color', 'plain text')
    .action(log);
}

async function log(options: LogOptions): Promise<void> {
  const seconds = Number(options.for);
  if (!(seconds > 0)) throw new UsageError(`--for must be a number of seconds, not "${printable(options.for)}"`);
  const { pod, namespace, name, rcode, output } = options;
  if (namespace !== undefined && pod === undefined) throw new UsageError('-n says where the pod of --pod is: name one');
  const filter = { pod: pod !== undefined && namespace !== undefined ? `${namespace}/${pod}` : pod, name, rcode };
  const nodes = nodesOf(options);
  const style = Style.of(process.stdout, !options.color);
  const several = nodes.length > 1;
  const onLine = (node: string | undefined) => (line: LogEntry | { dropped: number }) => {
    if (output === 'json') console.log(JSON.stringify(several ? { node, ...line } : line));
    else if ('dropped' in line) console.log(style.paint('yellow', `${line.dropped} entries were dropped${several ? ` on ${node}` : ''}: more came than could be told`));
    else console.log(logLine(line, several ? node : undefined, style));
  };
  const abort = new AbortController();
  const end = (): void => abort.abort();
  // The end of the output is the end of the reading, too.
  process.stdout.once('error', end);
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  const timer = options.follow ? undefined : setTimeout(end, seconds * 1000);
  if (output === 'table') console.log(logWidths(several));
  const errors: string[] = [];
  await Promise.all(nodes.map(({ name: node, socket }) => dnsLogOf(socket, filter, onLine(node), abort.signal).catch((error: Error) => errors.push(error.message))));
  clearTimeout(timer);
  for (const error of errors) console.error(`podnet: ${error}`);
  if (errors.length > 0) process.exitCode = exitCodes.failed;
}

function translateCommand(): Command {
  return new Command('translate')
    .description("CoreDNS' Corefile in podnet's words, and why which line cannot be")
    .argument('<file>', 'the Corefile; - is the standard input')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['yaml', 'json']).default('yaml'))
    .addHelpText('after', '\nWhat it prints: `config`, fields of the configuration of podnet dns, and `custom`, hosts and rewrite rules.\nExit code 1: some lines mean something else here, or nothing; they are named on standard error.')
    .action(translate);
}

async function translate(file: string, { output }: { output: 'yaml' | 'json' }): Promise<void> {
  const { translateCorefile } = await import('../dns/corefile/translate.ts');
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
  let translation: ReturnType<typeof translateCorefile>;
  try {
    translation = translateCorefile(text);
  } catch (error) {
    throw new UsageError(`${file} is no Corefile: ${(error as Error).message}`);
  }
  const { config, custom, notes } = translation;
  if (output === 'json') console.log(JSON.stringify({ config, custom, notes }, undefined, 2));
  else process.stdout.write(stringify({ config, custom }, { lineWidth: 0, aliasDuplicateObjects: false }));
  for (const { line, text: what, why } of notes) console.error(`${printable(file)}:${line}: ${printable(what)}: ${printable(why)}`);
  if (notes.length > 0) process.exitCode = exitCodes.failed;
}

function nodesOf({ lab, node, socket }: Where): { name?: string; socket: string }[] {
  if (socket !== undefined) {
    requireRoot("DNS' health socket belongs to root");
    return [{ socket }];
  }
  const { names, state } = runningLab(lab);
  const nodes = state.config.nodes.map(({ name }) => name);
  if (node !== undefined && !nodes.includes(node))
    throw new UsageError(`the lab "${lab}" has no node "${node}"; it has ${nodes.join(', ')}`);
  return (node === undefined ? nodes : [node]).map((name) => ({ name, socket: names.node(name).dnsHealthSocket }));
}
