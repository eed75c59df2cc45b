import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * Parses YAML, or JSON, which is YAML too and parsed a hundred times as fast. The parser is loaded with the first text that is not JSON: most
 * processes never see one, and loading it takes as long as starting half of Node.
 * @throws Error that says what is wrong with the text
 */
export function parseYaml(text: string, options: { maxAliasCount?: number; version?: '1.1' | '1.2' } = {}): unknown {
  if (text.trimStart().startsWith('{'))
    try {
      return JSON.parse(text);
    } catch {
      // Flow style, then.
    }
  return (require('yaml') as typeof import('yaml')).parse(text, options) as unknown;
}
