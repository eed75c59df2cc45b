import type { User } from '../auth/user.ts';
import type { FieldValidation } from '../codec/strict.ts';

/** What a write carries besides its object. */
export interface WriteRequest {
  user: User;
  /** As managedFields names the writer. */
  fieldManager: string;
  /** Everything but the write itself. */
  dryRun: boolean;
  fieldValidation: FieldValidation;
  /** Fields that the body has twice; JSON.parse hides them. */
  duplicates: readonly string[];
  /** Texts for Warning headers are added here. */
  warnings: string[];
}
