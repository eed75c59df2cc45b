import { cache } from './cache.ts';
import { forward } from './forward.ts';
import { hosts } from './hosts.ts';
import { kubernetes } from './kubernetes.ts';
import { type Directive, parseCorefile, type ServerBlock } from './parse.ts';
import { rewrite } from './rewrite.ts';
import { type Block, numberOf, Translation, type Translator } from './translation.ts';

/** What podnet does anyway, without being told. */
const always: Translator = () => {};

const translators: Record<string, Translator> = {
  ...{ kubernetes, forward, cache, hosts, rewrite },
  // Faults are told in the log, reloads need none, forward loops are looked for, ANY gets a small answer, versions stay untold.
  ...{ errors: always, reload: always, loop: always, any: always, minimal: always, debug: always, cancel: always },
  health: elsewhere('/health', 'lameduck'),
  ready: elsewhere('/ready'),
  loadbalance: (directive, to) => {
    if ((directive.words[1] ?? 'round_robin') !== 'round_robin') to.note(directive, 'answers take turns; there are no weights');
  },
  log: (directive, to) => to.note(directive, 'questions are told while somebody reads them: podnet dns log -f'),
  prometheus: (directive, to) => {
    const [, port] = /^[^:]*:(\d+)$/.exec(directive.words[1] ?? ':9153') ?? [];
    const host = (directive.words[1] ?? '').replace(/:\d+$/, '').replace(/^localhost$/, '127.0.0.1');
    if (port === undefined) to.note(directive, 'the address is ADDRESS:PORT');
    else to.config.metricsListen = `${host === '' ? '0.0.0.0' : host}:${port}`;
  },
  autopath: (directive, to) => {
    to.config.searchWalk = true;
    if (!directive.words.at(-1)?.startsWith('@kubernetes')) to.note(directive, "pods' own search paths are walked, not one of a file");
  },
  bind: (directive, to) => to.note(directive, 'the addresses to listen on are those of the node (listen)'),
};

function elsewhere(path: string, silent?: string): Translator {
  return (directive, to) => {
    if (directive.words.length > 1) to.note(directive, `${path} is on the health socket, which root can read (healthSocket)`);
    for (const line of directive.block) if (line.words[0] !== silent) to.note(line, `"${line.words[0]}" has no counterpart`);
  };
}

const isStub = ({ directives }: ServerBlock): boolean => directives.every(({ words }) => words[0] !== 'kubernetes');

/**
 * Reads a Corefile of the usual cluster form, and says what it is in podnet's words; and of each line that means something else here, or nothing, why.
 * @throws SyntaxError when it is no Corefile
 */
export function translateCorefile(text: string): Pick<Translation, 'config' | 'custom' | 'notes' | 'lines'> {
  const to = new Translation();
  for (const block of parseCorefile(text)) {
    const at = { line: block.line, words: block.keys };
    if (block.keys.some((key) => /^\(.*\)$/.test(key))) {
      to.note(at, 'snippets are not read');
      continue;
    }
    for (const { domain } of blocksOf(block, at, to)) for (const directive of block.directives) translate(directive, to, { domain });
  }
  to.notes.sort((a, b) => a.line - b.line);
  return to;
}

function translate(directive: Directive, to: Translation, block: Block): void {
  const [name = ''] = directive.words;
  if (directive.words.some((word) => /\{[$%].*\}/.test(word))) return to.note(directive, 'variables of the environment are not known here');
  const translator = Object.hasOwn(translators, name) ? translators[name] : undefined;
  if (translator) {
    translator(directive, to, block);
    to.said(directive);
  } else if (name === 'import') to.note(directive, 'other files are not read: put in their place what they say');
  else to.note(directive, `podnet has no plugin "${name}"`);
}

/** One for each domain of the block's keys: `.:53`, `example.org`, `10.in-addr.arpa:53`, `dns://.:1053`. */
function blocksOf(block: ServerBlock, at: Pick<Directive, 'line' | 'words'>, to: Translation): Block[] {
  return block.keys.flatMap((key): Block[] => {
    const [, scheme = 'dns', name = '', port] = /^(?:([a-z]+):\/\/)?(.*?)(?::(\d+))?$/.exec(key) ?? [];
    if (scheme !== 'dns') {
      to.note(at, `${key}: questions come by UDP and TCP, not by ${scheme}`);
      return [];
    }
    const number = port === undefined ? 53 : numberOf(port, 1, 65535);
    const domain = name === '.' || name === '' ? undefined : name.replace(/\.$/, '');
    if (number !== 53 && number !== undefined) {
      if (domain === undefined && to.config.port === undefined && !isStub(block)) {
        to.config.port = number;
        to.said(at);
      } else to.note(at, `${key}: all names are answered on one port`);
    }
    return [{ domain }];
  });
}
