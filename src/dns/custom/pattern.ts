const longest = 200;
const mostOpen = 3;

/**
 * A regular expression that whatever name a pod asks for cannot hold up: JavaScript's engine goes back and tries again, and takes exponential time where a repeated
 * group repeats something itself.
 * @throws SyntaxError when it is none, or one of these
 */
export function safePattern(source: string): RegExp {
  if (source.length > longest) throw new SyntaxError(`the pattern has ${source.length} characters; ${longest} are allowed`);
  const pattern = new RegExp(source, 'i');
  const { nested, open } = repetitions(source);
  if (nested) throw new SyntaxError('a group that is repeated repeats something itself, e.g. (a+)+, which some names would take for ever to match');
  if (open > mostOpen) throw new SyntaxError(`${open} repetitions without an end (* + {n,}); ${mostOpen} are allowed, so that each name is matched in time`);
  if (/\\[1-9k]|\(\?[=!<]/.test(source)) throw new SyntaxError('look-around and back references are not supported');
  return pattern;
}

/** Counts repetitions without an end outside of classes, and finds those in a group that is repeated. */
function repetitions(source: string): { nested: boolean; open: number } {
  let open = 0;
  let nested = false;
  /** For each group that is open: whether something in it repeats, or has alternatives. */
  const groups: boolean[] = [];
  let closed: boolean | undefined;
  for (let i = 0; i < source.length; i++) {
    const c = source[i]!;
    const repeat = /^(?:[*+]|\{\d+,\d*\})/.exec(source.slice(i))?.[0];
    if (repeat !== undefined) {
      open++;
      if (closed) nested = true;
      if (groups.length > 0) groups[groups.length - 1] = true;
      i += repeat.length - 1;
      closed = undefined;
      continue;
    }
    const inner = closed;
    closed = undefined;
    if (c === '\\') i++;
    else if (c === '[') {
      while (++i < source.length && source[i] !== ']') if (source[i] === '\\') i++;
    } else if (c === '(') groups.push(false);
    else if (c === ')') {
      closed = groups.pop() ?? false;
      if (closed && groups.length > 0) groups[groups.length - 1] = true;
    } else if (c === '|' && groups.length > 0) groups[groups.length - 1] = true;
    else if (c === '?' && inner !== undefined) closed = undefined;
  }
  return { nested, open };
}
