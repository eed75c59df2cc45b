/** A user's mistake: printed as it is, exit code 2. */
export class UsageError extends Error {}

/** Something this machine lacks: one sentence what, and one how to mend it. Exit code 3. */
export class EnvironmentError extends Error {
  readonly fix: string;

  constructor(message: string, fix: string) {
    super(message);
    this.name = 'EnvironmentError';
    this.fix = fix;
  }
}

/** The lab did not become what was asked for; its message is for people. */
export class LabError extends Error {}

/** A file that a user named and that cannot be read. */
export function unreadable(path: string, error: unknown): UsageError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = { ENOENT: 'there is no such file', EACCES: 'you may not read it', EISDIR: 'it is a folder' }[code ?? ''] ?? message;
  return new UsageError(`cannot read ${path === '' ? 'a file without a name' : path}: ${why}`);
}
