/**
 * Finds names that an object of a JSON text has twice, which JSON.parse hides. The text must be valid JSON.
 * @returns paths as Kubernetes writes them: `spec.ports[0].name`
 */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  let at = 0;

  const skipSpace = (): void => {
    for (let c = text.charCodeAt(at); c === 32 || c === 10 || c === 13 || c === 9; c = text.charCodeAt(at)) at++;
  };
  const skipString = (): string => {
    const start = at++;
    for (let c = text.charCodeAt(at); c !== 34; c = text.charCodeAt(at)) at += c === 92 ? 2 : 1;
    return text.slice(start, ++at);
  };
  const value = (path: string): void => {
    skipSpace();
    const c = text[at];
    if (c === '{') object(path);
    else if (c === '[') array(path);
    else if (c === '"') skipString();
    else while (at < text.length && !',]} \n\r\t'.includes(text[at]!)) at++;
  };
  const object = (path: string): void => {
    at++;
    skipSpace();
    const seen = new Set<string>();
    while (text[at] !== '}') {
      const quoted = skipString();
      const name = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
      const inner = path ? `${path}.${name}` : name;
      if (seen.has(name)) found.push(inner);
      seen.add(name);
      skipSpace();
      at++; // the colon
      value(inner);
      skipSpace();
      if (text[at] === ',') at++;
      skipSpace();
    }
    at++;
  };
  const array = (path: string): void => {
    at++;
    skipSpace();
    for (let index = 0; text[at] !== ']'; index++) {
      value(`${path}[${index}]`);
      skipSpace();
      if (text[at] === ',') at++;
      skipSpace();
    }
    at++;
  };

  value('');
  return found;
}
