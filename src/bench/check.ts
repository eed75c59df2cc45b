/** A figure that must be shown. */
export interface Check {
  name: string;
  /** As it is told to people, e.g. `1.1 times`. */
  value: string;
  limit: string;
  ok: boolean;
}
