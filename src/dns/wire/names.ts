/**
 * A domain name in wire form, one character for each byte: length-prefixed labels, the empty root label last. Strings of bytes take little memory,
 * compare fast and are Map keys. "cluster.local." is "\x07cluster\x05local\x00".
 */
export type WireName = string;

export const rootName: WireName = '\0';
export const maxNameBytes = 255;
export const maxLabelBytes = 63;
/** 127 labels of one byte and the root. */
export const maxLabels = 128;

/** ASCII upper case to lower; length bytes (at most 63) stay as they are. */
export const lowerByte: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 65 && byte <= 90 ? byte | 32 : byte));

/** Names compare without case, and only ASCII has one (RFC 4343). Length bytes are below 'A'. */
export const lowerName = (name: WireName): WireName => name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/**
 * Labels to a name. Labels may hold any byte, given as latin1 characters.
 * @throws RangeError when a label or the name is empty or too long (D23)
 */
export function nameOf(labels: readonly string[], suffix: WireName = rootName): WireName {
  let name = '';
  for (const label of labels) {
    if (label.length === 0 || label.length > maxLabelBytes)
      throw new RangeError(`a label has 1 to ${maxLabelBytes} bytes, not ${label.length}: "${label.slice(0, 80)}"`);
    name += String.fromCharCode(label.length) + label;
  }
  name += suffix;
  if (name.length > maxNameBytes) throw new RangeError(`a domain name has at most ${maxNameBytes} bytes, not ${name.length}`);
  return name;
}

/**
 * Text in presentation form (RFC 1035 5.1: `\.`, `\\`, `\DDD`), with or without the last dot. Case is kept; letters beyond ASCII become UTF-8 bytes.
 * @throws SyntaxError
 */
export function parseName(text: string): WireName {
  if (text === '.' || text === '') return rootName;
  const labels: string[] = [''];
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!;
    if (c === '.') labels.push('');
    else if (c !== '\\') labels[labels.length - 1] += c;
    else {
      const digits = /^\d{3}/.exec(bytes.slice(i + 1))?.[0];
      const value = digits === undefined ? bytes.charCodeAt(i + 1) : Number(digits);
      if (!(value <= 255)) throw new SyntaxError(`"${text}" is not a domain name: bad escape at position ${i}`);
      labels[labels.length - 1] += String.fromCharCode(value);
      i += digits === undefined ? 1 : 3;
    }
  }
  if (labels.at(-1) === '') labels.pop();
  try {
    return nameOf(labels);
  } catch (cause) {
    throw new SyntaxError(`"${text}" is not a domain name: ${(cause as Error).message}`, { cause });
  }
}

export function labelsOf(name: WireName): string[] {
  const labels: string[] = [];
  for (let i = 0; name.charCodeAt(i) > 0; i += name.charCodeAt(i) + 1) labels.push(name.slice(i + 1, i + 1 + name.charCodeAt(i)));
  return labels;
}

/** Presentation form with the last dot. */
export function formatName(name: WireName): string {
  const escaped = (c: string): string => (c === '.' || c === '\\' ? `\\${c}` : `\\${String(c.charCodeAt(0)).padStart(3, '0')}`);
  const labels = labelsOf(name).map((label) => label.replaceAll(/[^!-[\]-~]|[.]/g, escaped));
  return `${labels.join('.')}.`;
}

/** Without the first label; the root's parent is the root. */
export const parentName = (name: WireName): WireName => (name.length <= 1 ? rootName : name.slice(name.charCodeAt(0) + 1));

/** The name itself or one below it. Both in lower case. */
export function isBelow(name: WireName, ancestor: WireName): boolean {
  if (!name.endsWith(ancestor)) return false;
  const begin = name.length - ancestor.length;
  let at = 0;
  while (at < begin) at += name.charCodeAt(at) + 1;
  return at === begin;
}

export interface ReadName {
  name: WireName;
  /** Offset of what follows the name where it stands. */
  next: number;
}

/**
 * Reads a name that may be compressed (RFC 1035 4.1.4). Every pointer must lead further back than where the piece before it began, so that no loop is
 * possible.
 * @param begin offset of the message in the buffer, to which pointers are relative
 * @throws RangeError on anything malformed
 */
export function readName(buffer: Uint8Array, begin: number, at: number, end: number): ReadName {
  let name = '';
  let next = -1;
  let limit = at;
  for (let i = at; ; ) {
    if (i >= end) throw new RangeError('a name runs past the end of the message');
    const length = buffer[i]!;
    if (length >= 0xc0) {
      if (i + 2 > end) throw new RangeError('a compression pointer runs past the end of the message');
      if (next < 0) next = i + 2;
      const target = begin + (((length & 0x3f) << 8) | buffer[i + 1]!);
      if (target >= limit) throw new RangeError('a compression pointer does not lead backwards');
      limit = i = target;
      continue;
    }
    if (length > maxLabelBytes) throw new RangeError(`a label type of 0x${length.toString(16)} is unknown`);
    if (i + 1 + length > end) throw new RangeError('a label runs past the end of the message');
    if (name.length + 1 + length > maxNameBytes) throw new RangeError('a name is longer than 255 bytes');
    for (let k = i; k <= i + length; k++) name += String.fromCharCode(buffer[k]!);
    i += length + 1;
    if (length === 0) return { name, next: next < 0 ? i : next };
  }
}
