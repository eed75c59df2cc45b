import { createHash } from 'node:crypto';

const longest = 400;

/**
 * A key for a map: equal of equal texts, and short. Long ones would be most of what is kept, and worse: V8 takes nothing but the length for the hash of a text of more than
 * 16,383 characters (String::kMaxHashCalcLength), so that a map of thousands of them is a list.
 */
export const shortKey = (text: string): string => (text.length <= longest ? text : createHash('sha256').update(text).digest('base64'));
