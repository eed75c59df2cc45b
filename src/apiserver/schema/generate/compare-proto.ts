import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Table } from '../table.ts';

/** Compares field numbers with every generated.proto of the packages that are in the table. Returns one sentence per difference. */
export function compareWithProto(table: Table, goRoot: string): string[] {
  const differences: string[] = [];
  const files = readdirSync(path.join(goRoot, 'k8s.io'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('generated.proto'),
  );
  for (const file of files) {
    const source = readFileSync(path.join(goRoot, 'k8s.io', file), 'utf8');
    const prefix = `io.${/^package (.*);/m.exec(source)?.[1]}`.replace('io.k8s.io.', 'io.k8s.');
    for (const message of source.matchAll(/^message (\w+) \{\n([\s\S]*?)^\}/gm)) {
      const model = table.models[`${prefix}.${message[1]}`];
      if (!model || model.fields.length === 0) continue;
      for (const [, name, number] of message[2]!.matchAll(/^\s+(?:optional|repeated|map<[^>]*>)[^=/]*?(\w+) = (\d+)/gm)) {
        const field = model.fields.find((row) => row[3] === Number(number));
        if (!field || (field[0] !== '' && field[0].toLowerCase() !== name!.toLowerCase()))
          differences.push(
            `${prefix}.${message[1]}: field ${name} = ${number} of generated.proto is ${field?.[0] ?? 'missing'} in types.go`,
          );
      }
    }
  }
  return differences;
}
