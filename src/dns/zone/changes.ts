/**
 * Tells what was made of a name earlier from what would be made of it now, without remembering who made what: each name has a version, shared with the names whose hash ends
 * alike. What is out of date for one of them is taken as out of date for all, which does no harm.
 */
export class Changes {
  /** By the last bits of a name's hash. */
  readonly versions = new Int32Array(4096);
  readonly mask = 4095;

  /** The name with this hash, its records, or whether it exists, is another now. */
  note(hash: number): void {
    this.versions[hash & this.mask]!++;
  }

  /** All names may be others. */
  noteAll(): void {
    for (let i = 0; i < this.versions.length; i++) this.versions[i]!++;
  }
}
