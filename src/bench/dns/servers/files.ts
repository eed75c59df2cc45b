import { mkdirSync, writeFileSync } from 'node:fs';

/** @returns the path */
export function writeText(path: string, text: string): string {
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** A server's own folder. @returns its path */
export function folder(directory: string, name: string): string {
  const path = `${directory}/${name}`;
  mkdirSync(path, { recursive: true });
  return path;
}
