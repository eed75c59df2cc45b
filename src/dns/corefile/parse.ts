/** A line of a Corefile: words, and the lines of its block. */
export interface Directive {
  line: number;
  words: string[];
  block: Directive[];
  hasBlock: boolean;
}

/** A server block: `.:53 example.org { … }`. */
export interface ServerBlock {
  line: number;
  keys: string[];
  directives: Directive[];
}

interface Token {
  text: string;
  line: number;
  /** Braces in quotes are text. */
  quoted: boolean;
}

/**
 * Reads the Caddyfile syntax as CoreDNS does: words by blanks, quotes, `#` to the end of a line, blocks in braces of which the opening one ends a line.
 * @throws SyntaxError with the line
 */
export function parseCorefile(text: string): ServerBlock[] {
  const tokens = tokensOf(text);
  const blocks: ServerBlock[] = [];
  let at = 0;
  const directives = (until: boolean, openedAt: number): Directive[] => {
    const all: Directive[] = [];
    for (;;) {
      const first = tokens[at];
      if (!first) {
        if (until) throw new SyntaxError(`line ${openedAt}: this { has no }`);
        return all;
      }
      if (isBrace(first, '}')) {
        at++;
        return all;
      }
      const { line } = first;
      const words: string[] = [];
      while (tokens[at]?.line === line && !isBrace(tokens[at]!, '{') && !isBrace(tokens[at]!, '}')) words.push(tokens[at++]!.text);
      const opens = tokens[at]?.line === line && isBrace(tokens[at]!, '{');
      if (opens) at++;
      if (words.length === 0) throw new SyntaxError(`line ${line}: a { without a name before it`);
      all.push({ line, words, block: opens ? directives(true, line) : [], hasBlock: opens });
    }
  };
  while (at < tokens.length) {
    const { line } = tokens[at]!;
    const keys: string[] = [];
    // Keys may stand on several lines, with commas between.
    while (at < tokens.length && !isBrace(tokens[at]!, '{')) {
      if (isBrace(tokens[at]!, '}')) throw new SyntaxError(`line ${tokens[at]!.line}: a } without a {`);
      const last = tokens[at++]!;
      keys.push(...last.text.split(',').filter(Boolean));
      const next = tokens[at];
      // Without braces the whole file is one block.
      if (next && next.line > last.line && !last.text.endsWith(',') && !isBrace(next, '{')) break;
    }
    const opens = at < tokens.length && isBrace(tokens[at]!, '{');
    if (!opens && blocks.length > 0) throw new SyntaxError(`line ${line}: "${keys.join(' ')}" has no block; where there are several, each needs one`);
    if (opens) at++;
    blocks.push({ line, keys, directives: directives(opens, line) });
  }
  return blocks;
}

const isBrace = ({ text, quoted }: Token, brace: string): boolean => text === brace && !quoted;

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  for (let i = 0; i < text.length; ) {
    const c = text[i]!;
    if (c === '\n') line++;
    if (/\s/.test(c)) i++;
    else if (c === '#') {
      while (i < text.length && text[i] !== '\n') i++;
    } else if (c === '"') {
      const began = line;
      let word = '';
      for (i++; text[i] !== '"'; i++) {
        if (i >= text.length) throw new SyntaxError(`line ${began}: a quote has no end`);
        if (text[i] === '\\' && text[i + 1] === '"') i++;
        if (text[i] === '\n') line++;
        word += text[i];
      }
      i++;
      tokens.push({ text: word, line: began, quoted: true });
    } else {
      const word = /^\S+/.exec(text.slice(i))![0];
      i += word.length;
      tokens.push({ text: word, line, quoted: false });
    }
  }
  return tokens;
}
