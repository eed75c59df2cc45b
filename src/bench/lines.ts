import { closeSync, openSync, writeSync } from 'node:fs';

/** Of JSON, an object for each line. */
export function* jsonLines(objects: Iterable<unknown>): Iterable<string> {
  for (const object of objects) yield JSON.stringify(object);
}

/** Writes a file of any size, a megabyte at a time. @returns the path */
export function writeLines(path: string, lines: Iterable<string>): string {
  const fd = openSync(path, 'w', 0o600);
  try {
    let text = '';
    for (const line of lines) {
      text += `${line}\n`;
      if (text.length < 1 << 20) continue;
      writeSync(fd, text);
      text = '';
    }
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
  return path;
}
