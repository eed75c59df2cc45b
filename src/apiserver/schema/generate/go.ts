import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A field of a Go struct as types.go declares it. */
export interface GoField {
  /** JSON name; '' for an inlined struct. */
  json: string;
  goType: string;
  omitempty: boolean;
  /** `+optional`, `+listType=map` and the like, by name; repeated markers keep every value. */
  markers: Map<string, string[]>;
  /** Struct tags patchStrategy and patchMergeKey. */
  patchStrategy?: string;
  patchMergeKey?: string;
  /** Protobuf field number; absent when the field does not travel in protobuf. */
  number?: number;
}

export interface GoType {
  pkg: GoPackage;
  name: string;
  /** The right-hand side for named scalars, maps, slices and aliases; absent for structs. */
  underlying?: string;
  fields: GoField[];
  comment: string;
  markers: Map<string, string[]>;
}

export interface GoPackage {
  /** Import path, e.g. k8s.io/api/core/v1. */
  path: string;
  /** API group and version of its kinds. */
  group: string;
  version: string;
  types: Map<string, GoType>;
  /** Import names in types.go → import path. */
  imports: Map<string, string>;
  /** String constants by their declared type. */
  constants: Map<string, string[]>;
  /** The documentation that types_swagger_doc_generated.go holds: type → field ('' is the type itself) → text. */
  docs: Map<string, Map<string, string>>;
}

function markersOf(comments: string[]): Map<string, string[]> {
  const markers = new Map<string, string[]>();
  for (const line of comments) {
    const match = /^\+([\w:.-]+)(?:=(.*))?$/.exec(line.trim());
    if (!match) continue;
    const values = markers.get(match[1]!) ?? [];
    values.push(match[2] ?? '');
    markers.set(match[1]!, values);
  }
  return markers;
}

const prose = (comments: string[]): string =>
  comments
    .filter((line) => !line.trim().startsWith('+') && !/^(TODO|---)/.test(line.trim()))
    .map((line) => line.trim())
    .join(' ')
    .trim();

function parseField(line: string, comments: string[]): GoField | undefined {
  const match = /^\s+(?:(\w+)\s+)?([[\]*\w.]+)\s+`([^`]*)`/.exec(line);
  if (!match) return undefined;
  const tag = (name: string): string | undefined => new RegExp(`(?:^|\\s)${name}:"([^"]*)"`).exec(match[3]!)?.[1];
  const json = tag('json') ?? match[1] ?? '';
  const [name = '', ...options] = json.split(',');
  const number = /^\w+,(\d+),/.exec(tag('protobuf') ?? '')?.[1];
  return {
    json: name === '-' ? '-' : options.includes('inline') ? '' : name,
    goType: match[2]!,
    omitempty: options.includes('omitempty') || options.includes('omitzero'),
    markers: markersOf(comments),
    patchStrategy: tag('patchStrategy'),
    patchMergeKey: tag('patchMergeKey'),
    number: number === undefined ? undefined : Number(number),
  };
}

function parseTypes(pkg: GoPackage, source: string): void {
  let comments: string[] = [];
  let struct: GoType | undefined;
  for (const line of source.split('\n')) {
    const comment = /^\s*\/\/(.*)$/.exec(line);
    if (comment) {
      comments.push(comment[1]!);
      continue;
    }
    if (struct) {
      if (line.startsWith('}')) struct = undefined;
      const field = struct && parseField(line, comments);
      if (struct && field) struct.fields.push(field);
      comments = [];
      continue;
    }
    const declared = /^type (\w+) (=\s*)?(struct \{|[[\]*\w.]+)(\})?/.exec(line);
    if (declared) {
      const isStruct = declared[3] === 'struct {';
      const type: GoType = {
        pkg,
        name: declared[1]!,
        underlying: isStruct ? undefined : declared[3]!,
        fields: [],
        comment: prose(comments),
        markers: markersOf(comments),
      };
      pkg.types.set(type.name, type);
      if (isStruct && !declared[4]) struct = type;
    }
    const constant = /^\s+\w+\s+(\w+)\s+=\s+"([^"]*)"|^const \w+\s+(\w+)\s+=\s+"([^"]*)"/.exec(line);
    if (constant) {
      const type = constant[1] ?? constant[3]!;
      pkg.constants.set(type, [...(pkg.constants.get(type) ?? []), constant[2] ?? constant[4]!]);
    }
    // A blank line inside a comment block of a type separates the paragraphs that markers stand in from the text; keep both.
    if (line.trim() !== '' || !comments.some((text) => text.trim().startsWith('+'))) comments = [];
  }
}

function parseDocs(source: string): Map<string, Map<string, string>> {
  const docs = new Map<string, Map<string, string>>();
  for (const block of source.matchAll(/var map_(\w+) = map\[string\]string\{\n([\s\S]*?)\n\}/g)) {
    const fields = new Map<string, string>();
    for (const entry of block[2]!.matchAll(/^\t("(?:[^"\\]|\\.)*"):\s+("(?:[^"\\]|\\.)*"),$/gm))
      fields.set(JSON.parse(entry[1]!), JSON.parse(entry[2]!));
    docs.set(block[1]!, fields);
  }
  return docs;
}

/** Reads one API package below `root` (the directory that holds k8s.io/). */
export function readPackage(root: string, importPath: string): GoPackage {
  const directory = path.join(root, importPath);
  const read = (file: string): string => {
    const full = path.join(directory, file);
    return existsSync(full) ? readFileSync(full, 'utf8') : '';
  };
  const types = read('types.go');
  const pkg: GoPackage = {
    path: importPath,
    group: /const GroupName = "([^"]*)"/.exec(read('register.go'))?.[1] ?? '',
    version: path.basename(importPath),
    types: new Map(),
    imports: new Map(),
    constants: new Map(),
    docs: parseDocs(read('types_swagger_doc_generated.go')),
  };
  for (const line of types.matchAll(/^(?:import\s+|\s+)(\w+ )?"(k8s\.io\/[^"]+)"$/gm))
    pkg.imports.set(line[1]?.trim() ?? path.basename(line[2]!), line[2]!);
  parseTypes(pkg, types);
  for (const file of readdirSync(directory))
    if (/^(time|micro_time|duration|group_version|quantity|intstr)\.go$/.test(file)) parseTypes(pkg, read(file));
  return pkg;
}
