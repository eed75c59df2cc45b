import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';

/** @returns the path */
export function writeText(path: string, text: string): string {
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** @returns the path */
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

/** A server's own folder. @returns its path */
export function folder(directory: string, name: string): string {
  const path = `${directory}/${name}`;
  mkdirSync(path, { recursive: true });
  return path;
}
