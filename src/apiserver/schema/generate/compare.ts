import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { FieldRow, Table } from '../table.ts';

interface ClientModel {
  fields: Map<string, { type: string; required: boolean }>;
}

function readClientModel(js: string, declarations: string): ClientModel | undefined {
  const map = /attributeTypeMap = (\[[\s\S]*?\n\s*\]);/.exec(js)?.[1];
  if (!map) return undefined;
  const optional = new Map([...declarations.matchAll(/^\s+'([^']+)'(\??): /gm)].map((match) => [match[1]!, match[2] === '?']));
  const attributes = JSON.parse(map) as { name: string; baseName: string; type: string }[];
  return {
    fields: new Map(attributes.map(({ name, baseName, type }) => [baseName, { type, required: optional.get(name) === false }])),
  };
}

/** io.k8s.api.core.v1.Pod → the names openapi-generator may have given it: V1Pod, CoreV1Pod. */
function clientNames(model: string): string[] {
  const parts = model.split('.');
  const [group = '', version = '', kind = ''] = parts.slice(-3);
  const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
  return [`${upper(group)}${upper(version)}${kind}`, `${upper(version)}${kind}`];
}

export function allFields(table: Table, model: string): FieldRow[] {
  return (table.models[model]?.fields ?? []).flatMap((row) => (row[0] === '' ? allFields(table, row[1]) : [row]));
}

/** Compares field names, lists and what is required with @kubernetes/client-node's models. Returns one sentence per difference. */
export function compareWithClient(table: Table, directory: string): string[] {
  const models = path.join(directory, 'dist/gen/models');
  const files = new Set(readdirSync(models));
  const differences: string[] = [];
  let compared = 0;
  for (const name of Object.keys(table.models)) {
    const client = clientNames(name).find((candidate) => files.has(`${candidate}.js`));
    const read = (extension: string): string => readFileSync(path.join(models, `${client}${extension}`), 'utf8');
    const theirs = client && readClientModel(read('.js'), read('.d.ts'));
    if (!theirs) continue;
    compared++;
    const ours = new Map(allFields(table, name).map((row) => [row[0], row]));
    for (const field of new Set([...ours.keys(), ...theirs.fields.keys()])) {
      const [mine, other] = [ours.get(field), theirs.fields.get(field)];
      if (!mine || !other) differences.push(`${name}.${field}: only in ${mine ? 'types.go' : 'client-node'}`);
      else {
        if (mine[2].includes('r') !== other.required)
          differences.push(`${name}.${field}: required ${mine[2].includes('r')} here, ${other.required} there`);
        if (mine[1].startsWith('[]') !== other.type.startsWith('Array<'))
          differences.push(`${name}.${field}: ${mine[1]} here, ${other.type} there`);
      }
    }
  }
  console.log(`compared ${compared} models with client-node`);
  return differences;
}
