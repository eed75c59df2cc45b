import { randomInt } from 'node:crypto';

/** No vowels and nothing that reads like one: no words come out by accident. */
const letters = 'bcdfghjklmnpqrstvwxz2456789';

/** What is put after generateName. */
export const randomSuffix = (): string => Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join('');
