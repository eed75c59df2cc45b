import { type MatchKind, matchKinds, type RewriteEntry } from '../custom/entries.ts';
import { Rewrites } from '../custom/rewrite.ts';
import type { Directive } from './parse.ts';
import type { Translation, Translator } from './translation.ts';

/** `rewrite [continue|stop] name [exact|prefix|suffix|substring|regex] FROM TO [answer auto | answer name FROM TO | answer value FROM TO]…`, or with a block. */
export const rewrite: Translator = (directive, to, { domain }) => {
  if (domain !== undefined) return to.note(directive, `a rule of the block for ${domain} only; rules are for all names here: write ${domain} into the rule`, true);
  let words = directive.words.slice(1);
  const goOn = words[0] === 'continue';
  if (words[0] === 'continue' || words[0] === 'stop') words = words.slice(1);
  const lines: { words: string[]; directive: Directive }[] = directive.hasBlock
    ? directive.block.map((line) => ({ words: line.words, directive: line }))
    : [{ words, directive }];
  let entry: RewriteEntry | undefined;
  for (const { words: of, directive: line } of lines) {
    const [field, ...rest] = of;
    if (field === 'name') {
      const kind = matchKinds.includes(rest[0] as MatchKind) && rest.length > 2 ? (rest.shift() as MatchKind) : 'exact';
      const [from, target, ...options] = rest;
      if (from === undefined || target === undefined) to.note(line, 'a name rule has FROM and TO', true);
      else {
        entry = { match: kind, from, to: target };
        answers(options, entry, line, to);
      }
    } else if (field === 'answer' && entry) answers(of, entry, line, to);
    else to.note(line, `rules about ${field ?? 'nothing'} are not translated; only names are`, true);
  }
  if (!entry) return;
  if (goOn) entry.continue = true;
  try {
    new Rewrites([entry]);
    (to.custom.rewrite ??= []).push(entry);
  } catch (error) {
    to.note(directive, (error as Error).message.replace(/^rewrite\[0\][^:]*: /, ''), true);
  }
};

function answers(words: string[], entry: RewriteEntry, line: Directive, to: Translation): void {
  while (words.length > 0) {
    const [word, kind, from, target] = words;
    // The name that was asked for is always turned back.
    if (word === 'answer' && kind === 'auto') words = words.slice(2);
    else if (word === 'answer' && (kind === 'name' || kind === 'value') && from !== undefined && target !== undefined) {
      (entry.answer ??= []).push({ names: kind === 'name' ? 'owner' : 'target', from, to: target });
      words = words.slice(4);
    } else return to.note(line, `"${words.join(' ')}" is no option of a name rule that is known here`, true);
  }
}
